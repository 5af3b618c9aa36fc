//! Rows whose answer depends on the status alone.

use super::*;

/// A test per status: the code, the condition, one request and no more, and the count.
macro_rules! refused {
    ($($name:ident: $status:literal => $code:literal, $condition:literal;)*) => {$(
        #[test]
        fn $name() {
            let page = Reply::status($status)
                .header("Content-Type", "text/html")
                .body("<html><body><h1>no</h1></body></html>");
            let exchange = Exchange::of(page);
            exchange
                .expect($code, $condition)
                .expect_one_request()
                .expect_counted("rejected", $code);
            let error = exchange.ack.err()[0].clone();
            assert_eq!(error.field(4), "E", "ERR-4 of {error}");
            assert!(
                error.field(8).contains(stringify!($status)) && !error.field(8).contains("html"),
                "ERR-8 says the status and not a page: {error}"
            );
        }
    )*};
}

refused! {
    http_400_is_ae_102: 400 => "AE", "102";
    http_422_is_ae_102: 422 => "AE", "102";
    http_409_is_ae_205: 409 => "AE", "205";
    http_404_is_ar_200: 404 => "AR", "200";
    http_405_is_ar_200: 405 => "AR", "200";
    http_415_is_ar_200: 415 => "AR", "200";
    http_501_is_ar_200: 501 => "AR", "200";
    http_401_is_ar_207: 401 => "AR", "207";
    http_403_is_ar_207: 403 => "AR", "207";
    http_413_is_ar_104: 413 => "AR", "104";
    http_500_is_ae_207_and_not_retried: 500 => "AE", "207";
    http_502_is_ae_207_and_not_retried: 502 => "AE", "207";
    http_505_is_ae_207_and_not_retried: 505 => "AE", "207";
    http_599_is_ae_207_and_not_retried: 599 => "AE", "207";
    any_other_4xx_is_ae_207: 418 => "AE", "207";
    http_451_is_ae_207: 451 => "AE", "207";
}

macro_rules! accepted {
    ($($name:ident: $status:literal;)*) => {$(
        #[test]
        fn $name() {
            let exchange = Exchange::of(Reply::status($status).body("stored"));
            exchange.ack.expect("AA", "MSG1");
            assert_eq!(exchange.ack.names(), ["MSH", "MSA"], "{}", exchange.ack);
            exchange.expect_one_request().expect_counted("accepted", "AA");
        }
    )*};
}

accepted! {
    http_200_is_aa: 200;
    http_201_is_aa: 201;
    http_202_is_aa: 202;
    http_204_without_a_body_is_aa: 204;
    any_other_2xx_is_aa: 299;
}

macro_rules! redirects {
    ($($name:ident: $status:literal;)*) => {$(
        #[test]
        fn $name() {
            let elsewhere = TestApp::start();
            let exchange = Exchange::of(Reply::status($status).header("Location", &elsewhere.url()));
            exchange.expect("AE", "207").expect_one_request();
            assert!(elsewhere.requests().is_empty(), "the redirect was followed");
        }
    )*};
}

redirects! {
    http_301_is_ae_207_and_not_followed: 301;
    http_302_is_ae_207_and_not_followed: 302;
    http_303_is_ae_207_and_not_followed: 303;
    http_307_is_ae_207_and_not_followed: 307;
    http_308_is_ae_207_and_not_followed: 308;
}

#[test]
fn a_304_which_has_no_body_is_ae_207() {
    Exchange::of(Reply::status(304))
        .expect("AE", "207")
        .expect_one_request();
}

#[test]
fn an_unasked_101_is_unavailable_and_its_connection_is_not_used_again() {
    let app = TestApp::start();
    app.script([Reply::status(101).header("Upgrade", "h2c"), Reply::ok()]);
    let bridge = Bridge::start(&config(&app.url(), "", ""));
    let ack = RawPeer::connect(bridge.address()).exchange(messages::adt("MSG1"));
    ack.expect("AA", "MSG1");
    let requests = app.requests();
    assert_eq!(requests.len(), 2);
    assert_ne!(
        requests[0].connection, requests[1].connection,
        "after 101 a connection does not speak HTTP any more"
    );
}

#[test]
fn the_answers_to_a_version_below_2_5_have_the_text_in_msa_3_and_the_condition_in_err_1() {
    let exchange = Exchange::with(
        Reply::status(409),
        &messages::adt_version("2.3", "MSG1"),
        "",
    );
    let ack = &exchange.ack;
    ack.expect("AE", "MSG1");
    assert_eq!(ack.msa3(), "the application answered HTTP 409");
    assert_eq!(
        ack.err()[0].component(1, 4),
        "205&Duplicate key identifier&HL70357",
        "{ack}"
    );
}
