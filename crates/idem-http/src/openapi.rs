//! [`OpenApiFragment`]: what a protected route says of itself in an OpenAPI document.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use http::{HeaderName, Method, StatusCode, header};
use serde_json::Value;
use utoipa::{
    Modify,
    openapi::{
        ContentBuilder, HeaderBuilder, ObjectBuilder, OpenApi, PathItem, RefOr, Required, Response,
        ResponseBuilder, Responses, Type,
        example::ExampleBuilder,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
    },
};

use crate::{Code, Form, Problem, Profile};

/// What a protected route says of itself in an OpenAPI document: the header with the key, and the
/// answers that the layer gives in place of the handler's. Made by [`Profile::openapi`].
///
/// It is a [`Modify`] that adds both to every operation with a protected method:
///
/// ```
/// use idem_http::{OpenApiFragment, Profile};
/// use utoipa::{Modify, openapi::{OpenApiBuilder, HttpMethod, PathItem, PathsBuilder, path::Operation}};
///
/// let payments = PathItem::new(HttpMethod::Post, Operation::new());
/// let mut api = OpenApiBuilder::new()
///     .paths(PathsBuilder::new().path("/payments", payments))
///     .build();
/// Profile::ietf().openapi().modify(&mut api);
///
/// let api = serde_json::to_value(api).unwrap();
/// let pay = &api["paths"]["/payments"]["post"];
/// assert_eq!(pay["parameters"][0]["name"], "Idempotency-Key");
/// assert!(pay["responses"]["422"]["content"]["application/problem+json"].is_object());
/// ```
///
/// With utoipa's derive, name it among the modifiers:
///
/// ```text
/// #[derive(OpenApi)]
/// #[openapi(paths(pay), modifiers(&Idempotent))]
/// struct Api;
///
/// struct Idempotent;
///
/// impl Modify for Idempotent {
///     fn modify(&self, api: &mut openapi::OpenApi) {
///         Profile::default().openapi().modify(api);
///     }
/// }
/// ```
///
/// Where routes have profiles of their own, [`add_to`](Self::add_to) is for one operation.
#[derive(Clone, PartialEq)]
pub struct OpenApiFragment {
    methods: Vec<Method>,
    parameter: Parameter,
    responses: BTreeMap<StatusCode, Response>,
}

impl Profile {
    /// What a route with this profile says of itself in an OpenAPI document.
    #[must_use]
    pub fn openapi(&self) -> OpenApiFragment {
        let mut by_status: BTreeMap<StatusCode, Vec<Problem>> = BTreeMap::new();
        // Over HTTP a replay says it in a header.
        for code in Code::ALL
            .into_iter()
            .filter(|it| *it != Code::AnswerNotKept)
        {
            let problem = match code {
                Code::FingerprintMismatch => Problem::new(code).status(self.mismatch),
                code => Problem::new(code),
            };
            by_status.entry(problem.status).or_default().push(problem);
        }
        let responses = by_status.into_iter();
        OpenApiFragment {
            methods: self.methods.clone(),
            parameter: self.parameter(),
            responses: responses
                .map(|(status, problems)| (status, self.response(&problems)))
                .collect(),
        }
    }

    fn parameter(&self) -> Parameter {
        let key = "8e03978e-40d5-43dd-bc93-6894a57f9324";
        let example = match self.key.form {
            Form::Strict => format!("\"{key}\""),
            Form::Lenient => key.to_owned(),
        };
        let required = match self.required {
            true => Required::True,
            false => Required::False,
        };
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1));
        ParameterBuilder::new()
            .name(spelled(&self.key.name))
            .parameter_in(ParameterIn::Header)
            .required(required)
            .description(Some(
                "One key of 1 to 255 characters for each intent, and the same key and request with \
                 every repeat. A repeat gets the first answer and does not run.",
            ))
            .schema(Some(schema))
            .example(Some(example.into()))
            .build()
    }

    /// One answer for all problems of a status, in the words that the layer sends.
    fn response(&self, problems: &[Problem]) -> Response {
        let mut lines = Vec::new();
        let mut bodies: BTreeMap<String, Vec<(&str, Value)>> = BTreeMap::new();
        for problem in problems {
            let code = problem.code;
            lines.push(format!("- `{}`: {}.", code.as_str(), code.title()));
            let (head, body) = self.problem(problem).into_parts();
            let kind = head.headers.get(header::CONTENT_TYPE);
            let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let of_kind = bodies.entry(kind.to_owned()).or_default();
            of_kind.push((code.as_str(), body));
        }
        let mut response = ResponseBuilder::new().description(lines.join("\n"));
        for (kind, examples) in bodies {
            let examples = examples.into_iter().map(|(code, body)| {
                let example = ExampleBuilder::new().value(Some(body));
                (code, example.build())
            });
            let schema = ObjectBuilder::new().schema_type(Type::Object);
            let content = ContentBuilder::new()
                .schema(Some(schema))
                .examples_from_iter(examples);
            response = response.content(kind, content);
        }
        if problems.iter().any(|problem| is_temporary(problem.code)) {
            let seconds = ObjectBuilder::new().schema_type(Type::Integer);
            let after = HeaderBuilder::new()
                .schema(Some(seconds))
                .description(Some("When to send the same request again, in seconds."));
            response = response.header("Retry-After", after.build());
        }
        response.build()
    }
}

impl OpenApiFragment {
    /// The header with the key.
    #[must_use]
    pub fn parameter(&self) -> Parameter {
        self.parameter.clone()
    }

    /// The answers that the layer gives in place of the handler's.
    #[must_use]
    pub fn responses(&self) -> Responses {
        let responses = self.responses.iter();
        responses
            .map(|(status, response)| (status.as_str(), response.clone()))
            .collect()
    }

    /// Adds both to an operation. A header parameter of that name, and what the operation says itself
    /// of a status and a media type, stay as they are.
    pub fn add_to(&self, operation: &mut Operation) {
        let parameters = operation.parameters.get_or_insert_default();
        let is_there = parameters.iter().any(|parameter| match parameter {
            RefOr::T(own) => {
                matches!(own.parameter_in, ParameterIn::Header)
                    && own.name.eq_ignore_ascii_case(&self.parameter.name)
            }
            RefOr::Ref(_) => false,
        });
        if !is_there {
            parameters.push(RefOr::T(self.parameter()));
        }
        for (status, response) in &self.responses {
            let at = operation
                .responses
                .responses
                .entry(status.as_str().to_owned());
            let own = at.or_insert_with(|| RefOr::T(response.clone()));
            let RefOr::T(own) = own else { continue };
            for (kind, content) in &response.content {
                let of_kind = own.content.entry(kind.clone());
                of_kind.or_insert_with(|| content.clone());
            }
            for (name, header) in &response.headers {
                let of_name = own.headers.entry(name.clone());
                of_name.or_insert_with(|| header.clone());
            }
        }
    }

    fn operations<'a>(&self, item: &'a mut PathItem) -> impl Iterator<Item = &'a mut Operation> {
        let PathItem {
            get,
            put,
            post,
            delete,
            patch,
            ..
        } = item;
        let all = [
            (Method::GET, get),
            (Method::PUT, put),
            (Method::POST, post),
            (Method::DELETE, delete),
            (Method::PATCH, patch),
        ];
        let methods = self.methods.clone();
        let protected = all
            .into_iter()
            .filter(move |(method, _)| methods.contains(method));
        protected.filter_map(|(_, operation)| operation.as_mut())
    }
}

impl Modify for OpenApiFragment {
    fn modify(&self, api: &mut OpenApi) {
        for item in api.paths.paths.values_mut() {
            self.operations(item).for_each(|it| self.add_to(it));
        }
    }
}

impl std::fmt::Debug for OpenApiFragment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenApiFragment")
            .field("parameter", &self.parameter.name)
            .field("statuses", &self.responses.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Whether the answer says when to come back.
fn is_temporary(code: Code) -> bool {
    matches!(
        code,
        Code::InFlight
            | Code::StoreUnavailable
            | Code::RolledBack
            | Code::CommitUnknown
            | Code::Overloaded
    )
}

/// A header's name as documents have it: `Idempotency-Key`.
fn spelled(name: &HeaderName) -> String {
    let words = name.as_str().split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    });
    words.collect::<Vec<_>>().join("-")
}
