//! What OpenAI-compatible servers say in JSON: `/v1/models` (both runtimes) and vLLM's `/version`.

use serde::Deserialize;

/// `/v1/models`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Models {
    #[serde(default)]
    pub(super) data: Vec<Model>,
}

/// One model.
#[derive(Debug, Deserialize)]
pub(super) struct Model {
    pub(super) id: String,
    /// vLLM's context length.
    pub(super) max_model_len: Option<f64>,
    /// llama.cpp's facts.
    pub(super) meta: Option<ModelMeta>,
}

/// llama.cpp's facts about the file.
#[derive(Debug, Deserialize)]
pub(super) struct ModelMeta {
    pub(super) n_params: Option<f64>,
    pub(super) size: Option<f64>,
}

/// `/version`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Version {
    #[serde(default)]
    pub(super) version: String,
}
