//! What holds for any input: no panic.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn load_never_panics_on_text(text in ".{0,200}") {
        let _ = from(&text);
    }

    /// Text made of what a configuration is made of gets further in.
    #[test]
    fn load_never_panics_on_yaml(pieces in prop::collection::vec(
        prop::sample::select(vec![
            "listeners", "admin", "limits", "deliver", "status", "409", "5xx", "url", "bind",
            "name", "framing", "start", "ack", "retry", "keepalive", "off", "false", "null",
            "~", ": ", ":\n", "\n", "\n- ", "\n  ", "\n  - ", "\n    ", "[", "]", "{", "}", ", ",
            "0x0B", "-1", "1e400", ".nan", "16MiB", "10s", "''", "\"", "http://a:b@c/", "<<",
            "*a", "&a ", "!!str ", "|", "#", "é", "\u{0}", "?", "99999999999999999999",
        ]),
        0..60,
    )) {
        let _ = from(&pieces.concat());
    }

    /// Any value for any variable, and any flag.
    #[test]
    fn load_never_panics_on_variables(
        key in "(LISTENERS__[0-9]{1,20}|LISTENERS|ADMIN|LOG|[A-Z_0-9]{0,9})(__[A-Z0-9_]{0,9}){0,4}",
        value in ".{0,40}",
    ) {
        let flags = Overrides { app: Some(value.clone()), listen: Some(value.clone()), ..Overrides::default() };
        let env = [(format!("MLLP_BRIDGE_{key}"), value)];
        let _ = load(&Source::new().text(ONE).env(env).flags(flags));
    }
}
