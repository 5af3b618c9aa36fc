//! The token endpoint itself: who gets a token, and what it is worth.

use std::time::Duration;

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::parts::server::Response;
use crate::parts::token::TokenEndpoint;

const HOUR: Duration = Duration::from_secs(3600);
const GRANT: &str = "grant_type=client_credentials";
const FORM: &str = "application/x-www-form-urlencoded";

fn endpoint(life: Duration) -> TokenEndpoint {
    TokenEndpoint::start("bridge", "a b:c%", life)
}

fn basic(decoded: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(decoded))
}

/// A request with this form, and perhaps with this header.
fn ask(endpoint: &TokenEndpoint, header: Option<String>, form: &str) -> Response {
    endpoint.ask(FORM, header, form)
}

/// The value of `Authorization` that a token makes.
fn bearer(response: &Response) -> String {
    assert_eq!(response.status, 200, "{}", response.body);
    assert_eq!(response.body["token_type"], "Bearer");
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let token = response.body["access_token"].as_str().expect("a token");
    format!("Bearer {token}")
}

#[test]
fn a_client_gets_a_token_by_basic_or_by_the_form_and_each_request_counts() {
    let endpoint = endpoint(HOUR);
    let escaped = "bridge:a+b%3Ac%25";
    let one = ask(&endpoint, Some(basic(escaped)), GRANT);
    let other = format!("{GRANT}&client_id=bridge&client_secret=a%20b%3Ac%25");
    let two = ask(&endpoint, None, &other);
    assert_eq!(one.body["expires_in"], 3600);
    assert_ne!(bearer(&one), bearer(&two));
    assert!(endpoint.admits(&bearer(&one)) && endpoint.admits(&bearer(&two)));
    assert_eq!((endpoint.requests(), endpoint.refused()), (2, 0));
    assert!(!endpoint.admits("Bearer 0"));
    assert!(!endpoint.admits(&bearer(&one).replace("Bearer", "Basic")));

    endpoint.revoke();
    assert!(!endpoint.admits(&bearer(&one)));
}

#[test]
fn a_token_lives_as_long_as_it_says() {
    let endpoint = endpoint(Duration::ZERO);
    let response = ask(&endpoint, Some(basic("bridge:a+b%3Ac%25")), GRANT);
    assert_eq!(response.body["expires_in"], 0);
    assert!(!endpoint.admits(&bearer(&response)));
}

#[test]
fn bad_credentials_get_no_token() {
    let endpoint = endpoint(HOUR);
    let headers = [
        None,
        Some(basic("bridge:wrong")),
        Some(basic("bridge:a b")),
        Some(basic("somebody:a+b%3Ac%25")),
        Some(basic("bridge")),
        Some("Authorization: Basic %".to_owned()),
        Some("Authorization: Bearer x".to_owned()),
    ];
    let count = headers.len();
    for header in headers {
        let told = format!("{header:?}");
        let response = ask(&endpoint, header, GRANT);
        assert_eq!(response.status, 401, "{told}");
        assert_eq!(response.body["error"], "invalid_client", "{told}");
        assert!(response.header("www-authenticate").is_some(), "{told}");
    }
    assert_eq!((endpoint.requests(), endpoint.refused()), (count, count));
}

#[test]
fn what_is_no_request_for_a_clients_token_gets_none() {
    let endpoint = endpoint(HOUR);
    let good = || Some(basic("bridge:a+b%3Ac%25"));
    for (form, error) in [
        ("", "invalid_request"),
        ("grant_type=password", "unsupported_grant_type"),
        (
            "grant_type=client_credentials&grant_type=client_credentials",
            "invalid_request",
        ),
        (
            "grant_type=client_credentials&client_id=bridge&client_secret=a+b%3Ac%25",
            "invalid_request",
        ),
    ] {
        let response = ask(&endpoint, good(), form);
        assert_eq!(
            (response.status, &response.body["error"]),
            (400, &error.into()),
            "{form}"
        );
    }
    let response = endpoint.ask("application/json", good(), GRANT);
    assert_eq!(response.status, 400);
}

#[test]
fn it_can_be_down_for_a_while() {
    let endpoint = endpoint(HOUR);
    endpoint.fail(&[StatusCode::SERVICE_UNAVAILABLE, StatusCode::BAD_GATEWAY]);
    let status = || ask(&endpoint, Some(basic("bridge:a+b%3Ac%25")), GRANT).status;
    assert_eq!([status(), status(), status()], [503, 502, 200]);
    assert_eq!((endpoint.requests(), endpoint.refused()), (3, 2));
}
