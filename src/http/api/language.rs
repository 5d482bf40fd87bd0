//! `format_query` and `parse_query`.

use axum::response::Response;

use super::ast_json::to_json;
use crate::http::envelope::{Notes, success, success_value};
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::promql::parser::{Expr, parse};

fn parse_parameter(params: &Params) -> Result<Expr, ApiError> {
    parse(params.get("query").unwrap_or("")).map_err(|error| ApiError::parameter("query", error))
}

/// The query, printed in the canonical form.
pub(in crate::http) async fn format_query(params: Params) -> Result<Response, ApiError> {
    let text = parse_parameter(&params)?.to_string();
    Ok(success(&Notes::default(), |json| {
        json.text(&text);
    }))
}

/// The query as a tree.
pub(in crate::http) async fn parse_query(params: Params) -> Result<Response, ApiError> {
    Ok(success_value(&to_json(&parse_parameter(&params)?)))
}
