//! What llama-server says in JSON. Prompts and sampling parameters are never read.

use serde::Deserialize;

/// `/props`, in part.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Props {
    pub(super) model_alias: Option<String>,
    pub(super) model_path: Option<String>,
    pub(super) model_ftype: Option<String>,
    pub(super) build_info: Option<String>,
    pub(super) endpoint_slots: Option<bool>,
    pub(super) is_sleeping: Option<bool>,
    pub(super) default_generation_settings: Option<GenerationSettings>,
}

/// The part of `/props` that states the context of one slot.
#[derive(Debug, Deserialize)]
pub(super) struct GenerationSettings {
    pub(super) n_ctx: Option<f64>,
}

/// One slot of `/slots`, in part: a slot that had no task yet lacks most fields.
#[derive(Debug, Deserialize)]
pub(super) struct SlotState {
    n_ctx: Option<f64>,
    #[serde(default)]
    is_processing: bool,
    #[serde(default)]
    n_prompt_tokens: f64,
}

/// What all slots together say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SlotTotals {
    pub(super) busy: f64,
    pub(super) idle: f64,
    /// Prompt tokens by context, over all slots; `None` when no slot states its context.
    pub(super) usage: Option<f64>,
}

/// Adds up `/slots`.
pub(super) fn slot_totals(body: &[u8]) -> Result<SlotTotals, serde_json::Error> {
    let slots: Vec<SlotState> = serde_json::from_slice(body)?;
    let busy = slots.iter().filter(|slot| slot.is_processing).count() as f64;
    let context: f64 = slots.iter().filter_map(|slot| slot.n_ctx).sum();
    let used: f64 = slots.iter().filter(|slot| slot.n_ctx.is_some()).map(|slot| slot.n_prompt_tokens).sum();
    let usage = (context > 0.0).then(|| (used / context).min(1.0));
    Ok(SlotTotals { busy, idle: slots.len() as f64 - busy, usage })
}

#[cfg(test)]
mod tests {
    use super::slot_totals;

    #[test]
    fn slots_add_up() {
        let cases = [
            ("[]", 0.0, 0.0, None),
            (r#"[{"id":0,"n_ctx":100}]"#, 0.0, 1.0, Some(0.0)),
            (
                r#"[{"n_ctx":100,"is_processing":true,"n_prompt_tokens":30,"params":{}},{"n_ctx":100,"n_prompt_tokens":20}]"#,
                1.0,
                1.0,
                Some(0.25),
            ),
        ];
        for (body, busy, idle, usage) in cases {
            let totals = slot_totals(body.as_bytes()).expect("valid");
            assert_eq!((totals.busy, totals.idle, totals.usage), (busy, idle, usage), "{body}");
        }
        assert!(slot_totals(b"{}").is_err());
    }
}
