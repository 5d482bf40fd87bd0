//! `format_query` and `parse_query`.

use axum::response::Response;

use super::ast_json;
use crate::http::envelope::{Notes, success};
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::promql::parser::{Expr, parse, pretty};

fn parse_parameter(params: &Params) -> Result<Expr, ApiError> {
    parse(params.get("query").unwrap_or("")).map_err(|error| ApiError::parameter("query", error))
}

/// The query, laid out over as many lines as it needs.
pub(in crate::http) async fn format_query(params: Params) -> Result<Response, ApiError> {
    let text = pretty(&parse_parameter(&params)?);
    Ok(success(&Notes::default(), |json| {
        json.text(&text);
    }))
}

/// The query as a tree.
pub(in crate::http) async fn parse_query(params: Params) -> Result<Response, ApiError> {
    let expr = parse_parameter(&params)?;
    Ok(success(&Notes::default(), |json| ast_json::write(json, &expr)))
}
