//! As much of JSON Schema as the API's OpenAPI description uses, and that description.

use serde_json::Value;

/// The API's description.
pub(super) struct Contract(Value);

impl Contract {
    /// Reads it from the shared folder; `None` (said aloud) where that is missing.
    pub(super) fn load() -> Option<Self> {
        let shared = std::env::var("WATCHFIRE_SHARED").unwrap_or_else(|_| "../shared".to_owned());
        let path = std::path::Path::new(&shared).join("api/openapi_3.1.yaml");
        match std::fs::read_to_string(&path) {
            Ok(text) => Some(Self(serde_yaml::from_str(&text).expect("valid YAML"))),
            Err(error) => {
                println!("SKIPPED: {}: {error}", path.display());
                None
            }
        }
    }

    /// What is wrong with the answer of a path (without `/api/v1`) and method.
    pub(super) fn check(&self, path: &str, method: &str, status: u16, body: &Value) -> Result<(), String> {
        let response = if status == 200 { "200" } else { "default" };
        let schema = &self.0["paths"][path][method]["responses"][response]["content"]["application/json"]["schema"];
        if schema.is_null() {
            return Err(format!("{method} {path} has no answer {response} in the contract"));
        }
        self.matches(schema, body, "$")
    }

    fn matches(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or("");
            return self.matches(&self.0["components"]["schemas"][name], value, at);
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(options) = schema[choice].as_array() {
                let failures: Vec<String> =
                    options.iter().filter_map(|option| self.matches(option, value, at).err()).collect();
                if failures.len() == options.len() {
                    return Err(failures.join("; or "));
                }
            }
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            return Err(format!("{at}: {value} is none of {words:?}"));
        }
        match schema["type"].as_str() {
            Some("object") => self.object(schema, value, at),
            Some("array") => self.array(schema, value, at),
            Some(kind) if !is_of(kind, value) => Err(format!("{at}: {value} is no {kind}")),
            _ => Ok(()),
        }
    }

    fn object(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let object = value.as_object().ok_or_else(|| format!("{at}: {value} is no object"))?;
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                return Err(format!("{at}: {name} is missing"));
            }
        }
        for (name, value) in object {
            let at = format!("{at}.{name}");
            match (&schema["properties"][name], &schema["additionalProperties"]) {
                (Value::Null, Value::Bool(false)) => return Err(format!("{at} is not in the contract")),
                (Value::Null, Value::Object(_)) => self.matches(&schema["additionalProperties"], value, &at)?,
                (Value::Null, _) => {}
                (schema, _) => self.matches(schema, value, &at)?,
            }
        }
        Ok(())
    }

    fn array(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let items = value.as_array().ok_or_else(|| format!("{at}: {value} is no array"))?;
        let within = |name: &str, holds: fn(u64, u64) -> bool| {
            schema[name].as_u64().is_none_or(|bound| holds(items.len() as u64, bound))
        };
        if !within("minItems", |len, min| len >= min) || !within("maxItems", |len, max| len <= max) {
            return Err(format!("{at}: {} items", items.len()));
        }
        items.iter().enumerate().try_for_each(|(i, item)| self.matches(&schema["items"], item, &format!("{at}[{i}]")))
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        _ => true,
    }
}
