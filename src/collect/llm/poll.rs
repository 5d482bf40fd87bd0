//! One poll of one server.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{AUTHORIZATION, HeaderValue};
use parking_lot::Mutex;

use super::config::{ModelTarget, Runtime};
use super::families::{
    CONTEXT, DURATION, ERRORS, GENERATION_TOKENS, KV_CACHE, LAST_SUCCESS, MODEL_INFO, MODEL_SIZE, MODEL_STATE,
    PROMPT_TOKENS, RUNNING, SLOTS, TARGET_INFO, UP,
};
use super::llamacpp::{Props, SlotTotals, slot_totals};
use super::plan::{Plan, PlanSink, SlotId};
use super::rules::detect;
use super::view::ModelView;
use super::vllm::{Models, Version};
use crate::clock::Stopwatch;
use crate::exposition::{Format, parse};
use crate::model::{Batch, FamilyDesc, GroupId, Intern, Output, Timestamp};
use crate::net::{HttpClient, HttpRequest, HttpResponse, without_userinfo};

/// How often facts that hardly change are asked for: model, version, sleep.
const FACTS_EVERY_MS: i64 = 10_000;
/// The reasons of failed answers, as labels; all are there from the start, at 0.
const REASONS: [&str; 6] = ["connect", "timeout", "status", "auth", "body", "page"];
const STATES: [&str; 3] = ["ready", "loading", "sleeping"];

/// Why an answer could not be used.
struct Failure {
    reason: &'static str,
    text: String,
    /// The status, when there was an answer.
    status: u16,
}

/// What the server says about itself.
#[derive(Default)]
struct Facts {
    asked: Option<Timestamp>,
    version: String,
    sleeping: bool,
    slots_offered: Option<bool>,
    models: Vec<ModelFacts>,
}

#[derive(Default, Clone, PartialEq)]
struct ModelFacts {
    label: String,
    quantization: String,
    parameters: String,
    size: Option<f64>,
    context: Option<f64>,
}

/// A target with everything that its polls keep.
pub(super) struct Poll {
    pub(super) target: ModelTarget,
    client: HttpClient,
    intern: Arc<dyn Intern>,
    pub(super) output: Arc<dyn Output>,
    pub(super) view: Arc<Mutex<ModelView>>,
    pub(super) group: GroupId,
    plan: Plan,
    facts: Facts,
    errors: [f64; REASONS.len()],
    last_success: Option<f64>,
    last_error: String,
    slots: Option<SlotTotals>,
    /// Tokens at the last look at the slots: an idle server is left alone, because `/slots` would keep it from sleeping.
    activity: Option<[u64; 3]>,
}

impl Poll {
    pub(super) fn new(
        target: ModelTarget,
        client: HttpClient,
        intern: Arc<dyn Intern>,
        output: Arc<dyn Output>,
    ) -> Self {
        let group = output.register_group(&format!("llm {}", target.name));
        let mut plan = Plan::new(&target.name);
        plan.identify(target.runtime, "");
        let view = ModelView {
            target: target.name.clone(),
            url: without_userinfo(&target.url),
            runtime: target.runtime.as_str().to_owned(),
            ..ModelView::default()
        };
        Self {
            plan,
            group,
            client,
            intern,
            output,
            target,
            view: Arc::new(Mutex::new(view)),
            facts: Facts::default(),
            errors: [0.0; REASONS.len()],
            last_success: None,
            last_error: String::new(),
            slots: None,
            activity: None,
        }
    }

    /// Polls once, as of `slot`, and pushes one batch whatever happens.
    pub(super) async fn poll(&mut self, slot: Timestamp) {
        let timer = Stopwatch::start();
        self.last_error.clear();
        self.plan.begin();
        let health = self.get("/health").await.map(drop);
        let loading = health.as_ref().is_err_and(|failure| failure.status == 503);
        let up = self.note(health).is_some();
        if up {
            self.read(slot).await;
        } else {
            self.slots = None;
            self.activity = None;
            self.facts.asked = None;
        }
        let mut batch = Batch::new(self.group, slot);
        self.report(up, loading, timer.elapsed());
        self.plan.finish(&*self.intern, &mut batch);
        self.show(up, slot, timer.elapsed());
        self.output.push(batch);
    }

    /// The target has ended: its series with it.
    pub(super) fn end(mut self, now: Timestamp) {
        self.output.end_group(self.group, now);
        self.plan.release_all(&*self.intern);
    }

    async fn read(&mut self, slot: Timestamp) {
        let page = self.get("/metrics").await;
        let page = self.note(page);
        if self.plan.runtime() == Runtime::Auto {
            let text = page.as_ref().map(|page| String::from_utf8_lossy(&page.body));
            if let Some(runtime) = text.and_then(|text| detect(&text)) {
                self.plan.identify(runtime, "");
            }
        }
        if self.facts.asked.is_none_or(|asked| slot - asked >= FACTS_EVERY_MS || slot < asked) {
            self.facts.asked = Some(slot);
            self.ask_facts().await;
        }
        if let Some(page) = page
            && self.take(&page)
        {
            self.last_success = Some(slot as f64 / 1000.0);
        }
        if self.plan.runtime() == Runtime::LlamaCpp {
            self.read_slots().await;
        }
    }

    fn take(&mut self, page: &HttpResponse) -> bool {
        let format = Format::of_content_type(page.content_type());
        let text = String::from_utf8_lossy(&page.body);
        let mut sink = PlanSink { plan: &mut self.plan, intern: &*self.intern };
        let result = parse(&text, format, &mut sink).map(drop);
        let failure = |text: String| Failure { reason: "page", text, status: 200 };
        self.note(result.map_err(|error| failure(format!("/metrics: {error}")))).is_some()
    }

    /// Looks at the slots while the server works, and once after it stopped.
    async fn read_slots(&mut self) {
        let running = self.figure(&RUNNING, &[]);
        let activity = [
            self.figure(&PROMPT_TOKENS, &[("cached", "false")]),
            self.figure(&PROMPT_TOKENS, &[("cached", "true")]),
            self.figure(&GENERATION_TOKENS, &[]),
        ];
        let activity = activity.map(|figure| figure.map_or(u64::MAX, f64::to_bits));
        // A request that was cancelled leaves no trace in the counters: a busy slot is looked at until it is idle.
        let changed = self.activity.replace(activity) != Some(activity)
            || running.is_some_and(|running| running > 0.0)
            || self.slots.is_some_and(|slots| slots.busy > 0.0);
        if self.facts.sleeping || self.facts.slots_offered == Some(false) || !changed {
            return;
        }
        match self.get("/slots").await {
            Ok(response) => match slot_totals(&response.body) {
                Ok(totals) => self.slots = Some(totals),
                Err(error) => self.fail(Failure { reason: "page", text: format!("/slots: {error}"), status: 200 }),
            },
            // Switched off: no error, there is nothing to read.
            Err(failure) if matches!(failure.status, 404 | 501) => {
                self.facts.slots_offered = Some(false);
                self.slots = None;
            }
            Err(failure) => self.fail(failure),
        }
    }

    /// What the page of this tick said for the server's one model (llama.cpp).
    fn figure(&self, family: &FamilyDesc, labels: &[(&str, &str)]) -> Option<f64> {
        let model = self.facts.models.first().map_or("", |model| model.label.as_str());
        let mut all = vec![("model", model)];
        all.extend_from_slice(labels);
        self.plan.value(family, &all)
    }

    async fn ask_facts(&mut self) {
        let mut props = Props::default();
        match self.plan.runtime() {
            Runtime::LlamaCpp => props = self.json("/props").await.unwrap_or_default(),
            Runtime::Vllm => self.facts.version = self.json::<Version>("/version").await.unwrap_or_default().version,
            // A llama-server without --metrics says who it is here.
            Runtime::Auto => {
                props = self.json("/props").await.unwrap_or_default();
                if props.build_info.is_none() {
                    return;
                }
                self.plan.identify(Runtime::LlamaCpp, "");
            }
        }
        let runtime = self.plan.runtime();
        if runtime == Runtime::LlamaCpp {
            self.facts.sleeping = props.is_sleeping.unwrap_or(false);
            self.facts.slots_offered = props.endpoint_slots;
            self.facts.version = props.build_info.take().unwrap_or_default();
        }
        let models: Models = self.json("/v1/models").await.unwrap_or_default();
        let named = [&props.model_alias, &props.model_path].into_iter().flatten().find(|name| !name.is_empty());
        let first = models.data.first().map(|model| model.id.clone()).or_else(|| named.cloned());
        if runtime == Runtime::LlamaCpp {
            let label = first.as_deref().map(|name| self.plan.model(name)).unwrap_or_default();
            if !label.is_empty() {
                self.plan.identify(runtime, &label);
                self.plan.model(&label);
            }
        }
        let context = props.default_generation_settings.and_then(|settings| settings.n_ctx);
        let quantization = props.model_ftype.unwrap_or_default();
        let mut facts = Vec::new();
        for model in &models.data {
            let meta = model.meta.as_ref();
            facts.push(ModelFacts {
                label: self.plan.model(&model.id),
                quantization: quantization.clone(),
                parameters: meta.and_then(|meta| meta.n_params).map_or(String::new(), |count| format!("{count}")),
                size: meta.and_then(|meta| meta.size),
                context: model.max_model_len.or(context),
            });
        }
        if facts.is_empty() {
            facts.extend(first.map(|name| {
                let label = self.plan.model(&name);
                ModelFacts { label, quantization, context, ..ModelFacts::default() }
            }));
        }
        // A failed answer does not make what was known untrue.
        if !facts.is_empty() {
            self.facts.models = facts;
        }
    }

    /// What the daemon itself knows about the poll, and the facts.
    fn report(&mut self, up: bool, loading: bool, duration: Duration) {
        self.gauge(&UP, &[], f64::from(u8::from(up)));
        self.gauge(&DURATION, &[], duration.as_secs_f64());
        if let Some(ts) = self.last_success {
            self.gauge(&LAST_SUCCESS, &[], ts);
        }
        for (reason, count) in REASONS.iter().zip(self.errors) {
            self.gauge(&ERRORS, &[("reason", reason)], count);
        }
        if up && !self.facts.version.is_empty() {
            let version = self.facts.version.clone();
            self.gauge(&TARGET_INFO, &[("version", &version)], 1.0);
        }
        let sleeping = self.plan.sleeping.unwrap_or(self.facts.sleeping);
        let state = match (up, loading) {
            (true, _) if sleeping => Some("sleeping"),
            (true, _) => Some("ready"),
            (false, true) => Some("loading"),
            (false, false) => None,
        };
        let models = std::mem::take(&mut self.facts.models);
        if let Some(state) = state {
            for model in &models {
                self.report_model(model, state);
            }
        }
        if let Some((totals, model)) = self.slots.zip(models.first()) {
            let label = ("model", model.label.as_str());
            self.gauge(&SLOTS, &[label, ("state", "busy")], totals.busy);
            self.gauge(&SLOTS, &[label, ("state", "idle")], totals.idle);
            if let Some(usage) = totals.usage {
                self.gauge(&KV_CACHE, &[label], usage);
            }
        }
        self.facts.models = models;
    }

    fn report_model(&mut self, model: &ModelFacts, state: &str) {
        let label = ("model", model.label.as_str());
        for one in STATES {
            self.gauge(&MODEL_STATE, &[label, ("state", one)], f64::from(u8::from(one == state)));
        }
        if !model.quantization.is_empty() || !model.parameters.is_empty() {
            let (quantization, parameters) = (model.quantization.as_str(), model.parameters.as_str());
            self.gauge(&MODEL_INFO, &[label, ("quantization", quantization), ("parameters", parameters)], 1.0);
        }
        for (family, value) in [(&MODEL_SIZE, model.size), (&CONTEXT, model.context)] {
            if let Some(value) = value {
                self.gauge(family, &[label], value);
            }
        }
    }

    fn gauge(&mut self, family: &'static FamilyDesc, labels: &[(&str, &str)], value: f64) {
        let slot: SlotId = self.plan.slot(family, "", labels, &*self.intern);
        self.plan.set(slot, value);
    }

    fn show(&self, up: bool, slot: Timestamp, duration: Duration) {
        let mut view = self.view.lock();
        self.plan.runtime().as_str().clone_into(&mut view.runtime);
        view.version.clone_from(&self.facts.version);
        view.models = self.plan.models();
        view.up = Some(up);
        view.last_error.clone_from(&self.last_error);
        view.last_poll = slot;
        view.last_success = self.last_success.map_or(0, |seconds| (seconds * 1000.0) as Timestamp);
        view.last_duration = duration;
    }

    async fn json<T: serde::de::DeserializeOwned>(&mut self, path: &str) -> Option<T> {
        let response = self.get(path).await;
        let response = self.note(response)?;
        let parsed = serde_json::from_slice(&response.body);
        self.note(parsed.map_err(|error| Failure { reason: "page", text: format!("{path}: {error}"), status: 200 }))
    }

    async fn get(&self, path: &str) -> Result<HttpResponse, Failure> {
        let url = format!("{}{path}", self.target.url.trim_end_matches('/'));
        let mut request = HttpRequest::get(url).timeout(self.target.timeout);
        if let Some(Ok(mut key)) = self.target.api_key.as_ref().map(|k| HeaderValue::from_str(&format!("Bearer {k}"))) {
            key.set_sensitive(true);
            request = request.header(AUTHORIZATION, key);
        }
        let response = self.client.send(request).await.map_err(|error| {
            let reason = match error.reason() {
                "connect" | "url" => "connect",
                "timeout" => "timeout",
                _ => "body",
            };
            Failure { reason, text: error.to_string(), status: 0 }
        })?;
        let status = response.status.as_u16();
        match status {
            200..=299 => Ok(response),
            401 | 403 => {
                let text = format!("{path} answered {}: set api_key for this target", response.status);
                Err(Failure { reason: "auth", text, status })
            }
            _ => Err(Failure { reason: "status", text: format!("{path} answered {}", response.status), status }),
        }
    }

    fn note<T>(&mut self, result: Result<T, Failure>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(failure) => {
                self.fail(failure);
                None
            }
        }
    }

    fn fail(&mut self, failure: Failure) {
        if let Some(at) = REASONS.iter().position(|reason| *reason == failure.reason) {
            self.errors[at] += 1.0;
        }
        if self.last_error.is_empty() {
            self.last_error = failure.text;
        }
    }
}
