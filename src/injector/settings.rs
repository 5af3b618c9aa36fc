//! From a pod's annotations to the sidecar's configuration, or to every error in them.
//!
//! Each annotation that stands for a configuration key becomes the environment variable of that key, and the
//! variables then go through [`crate::config::load`], the very function that the sidecar will start with: what it would refuse is
//! refused here, by the annotation's name.

use super::FieldError;
use super::annotation::{self, ANNOTATIONS, DOMAIN, Kind, variable};
use super::quantity::Quantity;
use crate::config::parse::shown;
use crate::config::parse::units::{ByteSize, Period, Scalar};
use crate::config::{self, Source, Transport};
use std::collections::BTreeMap;
use std::time::Duration;

/// Where the volume of `state` is mounted.
pub(super) const STATE_PATH: &str = "/var/lib/mllp-bridge";

/// What the injector is told: how sidecars look where a pod says nothing, and where there are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// What a pod's annotations are put over.
    pub sidecar: Sidecar,
    /// Namespaces in which nothing is injected.
    pub excluded_namespaces: Vec<String>,
}

/// A sidecar where the pod says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidecar {
    /// Image.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub image_pull_policy: String,
    /// CPU request; `None` for no request.
    pub cpu_request: Option<String>,
    /// Memory request.
    pub memory_request: Option<String>,
    /// CPU limit.
    pub cpu_limit: Option<String>,
    /// Memory limit.
    pub memory_limit: Option<String>,
    /// Other annotations, without their domain, and their values.
    pub defaults: BTreeMap<String, String>,
}

impl Default for Sidecar {
    fn default() -> Self {
        let text = |text: &str| Some(text.to_owned());
        Self {
            image: format!("mllp-bridge:{}", env!("CARGO_PKG_VERSION")),
            image_pull_policy: "IfNotPresent".into(),
            cpu_request: text("10m"),
            memory_request: text("16Mi"),
            cpu_limit: None,
            memory_limit: text("128Mi"),
            defaults: BTreeMap::new(),
        }
    }
}

impl Sidecar {
    /// The value that has a field of its own.
    fn field(&self, name: &str) -> Option<&str> {
        match name {
            "image" => Some(&self.image),
            "image-pull-policy" => Some(&self.image_pull_policy),
            "cpu-request" => self.cpu_request.as_deref(),
            "memory-request" => self.memory_request.as_deref(),
            "cpu-limit" => self.cpu_limit.as_deref(),
            "memory-limit" => self.memory_limit.as_deref(),
            _ => None,
        }
    }
}

/// Everything about one pod's sidecar that comes from annotations and defaults.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Resolved {
    /// Image.
    pub(super) image: String,
    /// Pull policy.
    pub(super) pull_policy: String,
    /// (`requests` or `limits`, resource, quantity).
    pub(super) resources: Vec<(&'static str, &'static str, String)>,
    /// Environment variables, as the sidecar must see them.
    pub(super) env: Vec<(String, String)>,
    /// First listener's port.
    pub(super) mllp_port: u16,
    /// Admin server's port.
    pub(super) admin_port: u16,
    /// Whether what it remembers has a volume.
    pub(super) state: bool,
    /// The ConfigMap with the configuration file.
    pub(super) config_map: Option<String>,
    /// `None` where only the file knows.
    pub(super) drain_deadline: Option<Duration>,
    /// `None` where only the file knows.
    pub(super) ack_deadline: Option<Duration>,
    /// Seconds that app containers sleep before they end.
    pub(super) prestop_sleep: Option<u64>,
}

/// Reads annotations (without their domain) over a sidecar's defaults. What cannot be read is an error, and stands at its
/// default in what is returned beside the errors.
pub(super) fn resolve(
    given: &BTreeMap<&str, &str>,
    sidecar: &Sidecar,
) -> (Resolved, Vec<FieldError>) {
    let mut reader = Reader {
        given,
        sidecar,
        errors: Vec::new(),
        has_file: given.contains_key("config") || sidecar.defaults.contains_key("config"),
    };
    reader.names_and_blanks();
    let resolved = reader.resolve();
    (resolved, reader.errors)
}

struct Reader<'a> {
    given: &'a BTreeMap<&'a str, &'a str>,
    sidecar: &'a Sidecar,
    errors: Vec<FieldError>,
    /// There is a configuration file, whose content is not known here.
    has_file: bool,
}

impl<'a> Reader<'a> {
    fn error(&mut self, name: &str, message: impl Into<String>) {
        if !self.is_wrong(name) {
            let field = format!("{DOMAIN}{name}");
            self.errors.push(FieldError::new(field, message));
        }
    }

    fn is_wrong(&self, name: &str) -> bool {
        let field = |error: &FieldError| error.field.strip_prefix(DOMAIN) == Some(name);
        self.errors.iter().any(field)
    }

    fn names_and_blanks(&mut self) {
        for (name, value) in self.given {
            if annotation::find(name).is_none() {
                self.error(&shown_name(name), annotation::no_such(name));
            } else if value.trim().is_empty() {
                self.error(name, "has no value; remove it, or give it one");
            }
        }
    }

    /// The pod's value, else the injector's.
    fn value(&self, name: &str) -> Option<&'a str> {
        let own = self.given.get(name).copied();
        let default = || self.sidecar.defaults.get(name).map(String::as_str);
        own.or_else(default)
            .or_else(|| self.sidecar.field(name))
            .filter(|value| !value.trim().is_empty())
    }

    /// The value of a setting that a configuration file may have as well: the injector's defaults do not overrule it.
    fn setting(&self, name: &str) -> Option<&'a str> {
        if self.has_file {
            let own = self.given.get(name).copied();
            return own.filter(|value| !value.trim().is_empty());
        }
        self.value(name)
    }

    fn resolve(&mut self) -> Resolved {
        let mllp_port = self.port("mllp-port", 2575);
        let admin_port = self.port("admin-port", 9090);
        if mllp_port == admin_port {
            let what = format!("{admin_port} is mllp-port already");
            self.error("admin-port", what);
        }
        let env = self.environment(mllp_port, admin_port);
        let config = self.load(&env);
        if let Some(listener) = config.as_ref().and_then(|config| config.listeners.first())
            && listener.session.deliver.url.is_local()
            && let Transport::Http { port, .. } = &listener.session.deliver.url.transport
            && *port == mllp_port
        {
            let name = match self.setting("app-url") {
                Some(_) => "app-url",
                None => "app-port",
            };
            self.error(name, format!("{port} is mllp-port, the sidecar's own"));
        }
        let knows = |name: &str| !self.has_file || self.setting(name).is_some();
        let drain_deadline = config.as_ref().filter(|_| knows("drain-deadline"));
        let ack_deadline = config.as_ref().filter(|_| knows("ack-deadline"));
        let drain_deadline = drain_deadline.map(|config| config.shutdown.deadline);
        let ack_deadline = ack_deadline
            .and_then(|config| config.listeners.first())
            .map(|listener| listener.session.ack.deadline);
        Resolved {
            image: self.image(),
            pull_policy: self.choice("image-pull-policy"),
            resources: self.resources(),
            env,
            mllp_port,
            admin_port,
            state: self.state(),
            config_map: self.config_map(),
            drain_deadline,
            ack_deadline,
            prestop_sleep: self.prestop_sleep(),
        }
    }

    fn port(&mut self, name: &str, default: u16) -> u16 {
        let Some(text) = self.value(name) else {
            return default;
        };
        let digits = text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(port @ 1..) if digits => port,
            _ => {
                let what = format!("{}: expected a port, 1 to 65535", shown(text));
                self.error(name, what);
                default
            }
        }
    }

    /// The variables of every setting, in the order of the table.
    fn environment(&mut self, mllp_port: u16, admin_port: u16) -> Vec<(String, String)> {
        let mut env = Vec::new();
        let mut set = |key: &str, value: String| env.push((variable(key), value));
        if self.setting("mllp-port").is_some() || !self.has_file {
            set("listeners[0].bind", format!("0.0.0.0:{mllp_port}"));
        }
        if let Some(url) = self.app_url() {
            set("listeners[0].deliver.url", url);
        }
        for one in ANNOTATIONS.iter().filter(|one| one.name != "app-url") {
            let (Some(key), Some(value)) = (one.key, self.setting(one.name)) else {
                continue;
            };
            if one.kind == Kind::Bool && !matches!(value, "true" | "false") {
                let what = format!("{}: expected true or false", shown(value));
                self.error(one.name, what);
            } else {
                set(key, value.trim().to_owned());
            }
        }
        if self.state() {
            set("state.directory", STATE_PATH.to_owned());
        }
        if self.setting("admin-port").is_some() || !self.has_file {
            set("admin.bind", format!("0.0.0.0:{admin_port}"));
        }
        if let Some(limit) = self.memory_limit().filter(|_| !self.has_file) {
            // The other half is for everything else. Whole KiB read better.
            let most = config::raw::GlobalLimits::default().max_buffered_bytes.0;
            let half = usize::try_from(limit.units() / 2).map_or(most, |half| half.min(most));
            let bytes = ByteSize(half >> 10 << 10);
            set("limits.max_buffered_bytes", bytes.to_string());
        }
        env
    }

    fn state(&mut self) -> bool {
        match self.setting("state") {
            Some("emptydir") => true,
            None | Some("none") => false,
            Some(other) => {
                let what = format!("{}: expected one of none, emptydir", shown(other));
                self.error("state", what);
                false
            }
        }
    }

    fn memory_limit(&self) -> Option<Quantity> {
        Quantity::read(self.value("memory-limit")?, "").ok()
    }

    fn app_url(&mut self) -> Option<String> {
        let own = |name: &str| self.given.contains_key(name);
        let parts = own("app-port") || own("app-path");
        if own("app-url") && parts {
            let what = "stands instead of app-port and app-path, not beside them";
            self.error("app-url", what);
            return None;
        }
        if !parts && let Some(url) = self.setting("app-url") {
            if url.trim_start().starts_with("unix:") {
                let what = "the sidecar shares no volume with the app, and so no Unix socket";
                self.error("app-url", what);
                return None;
            }
            return Some(url.to_owned());
        }
        if self.has_file && !parts {
            return None;
        }
        let port = self.port("app-port", 8080);
        if port == self.port("admin-port", 9090) {
            self.error(
                "app-port",
                format!("{port} is admin-port, the sidecar's own"),
            );
        }
        let path = self.value("app-path").unwrap_or("/hl7");
        if !path.starts_with('/') {
            let what = format!("{}: expected a path such as /hl7", shown(path));
            self.error("app-path", what);
            return None;
        }
        Some(format!("http://127.0.0.1:{port}{path}"))
    }

    /// What the sidecar will read, read here: its problems become the annotations'.
    fn load(&mut self, env: &[(String, String)]) -> Option<config::Config> {
        let mut source = Source::new().env(env.iter().cloned());
        if self.has_file {
            // Stands for a file of which nothing is known, and that agrees with any single value.
            source = source.text("{listeners: [{}], limits: {max_buffered_bytes: 2GiB}}");
        }
        let problems = match config::load(&source) {
            Ok(config) => return Some(config),
            Err(problems) => problems,
        };
        for problem in problems.problems() {
            let by_key = |one: &&annotation::Annotation| {
                one.key.is_some_and(|key| variable(key) == problem.place)
            };
            let name = ANNOTATIONS.iter().find(by_key).map(|one| one.name);
            match name {
                Some("app-url") if self.setting("app-url").is_none() => {
                    self.error("app-path", &problem.message);
                }
                Some(name) => self.error(name, &problem.message),
                // Two ports on one address: said already.
                None if problem.place == variable("admin.bind") => {
                    self.error("admin-port", &problem.message);
                }
                None if problem.place == variable("limits.max_buffered_bytes") => {
                    let limit = self.value("memory-limit").unwrap_or_default();
                    let message = &problem.message;
                    let what = format!("{limit}: half of it is for messages, and {message}");
                    self.error("memory-limit", what);
                }
                // What a message has no variable for: the bound that stands at its default.
                None => {
                    self.error("max-message-bytes", problem.to_string());
                }
            }
        }
        None
    }

    fn image(&mut self) -> String {
        let image = self.value("image").unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@+".contains(c);
        if image.is_empty() || image.len() > 1024 || !image.chars().all(plain) {
            let what = format!(
                "{}: expected an image such as registry/mllp-bridge:0.1.0",
                shown(image)
            );
            self.error("image", what);
        }
        image.to_owned()
    }

    fn choice(&mut self, name: &str) -> String {
        let value = self.value(name).unwrap_or_default();
        if let Some(Kind::Choice(names)) = annotation::find(name).map(|one| one.kind)
            && !names.contains(&value)
        {
            let what = format!("{}: expected one of {}", shown(value), names.join(", "));
            self.error(name, what);
        }
        value.to_owned()
    }

    fn resources(&mut self) -> Vec<(&'static str, &'static str, String)> {
        let mut found = Vec::new();
        for (resource, example) in [("cpu", "100m"), ("memory", "128Mi")] {
            let mut request = None;
            for (kind, suffix) in [("requests", "request"), ("limits", "limit")] {
                let name = format!("{resource}-{suffix}");
                let Some(text) = self.value(&name) else {
                    continue;
                };
                match (Quantity::read(text, example), request) {
                    (Err(why), _) => self.error(&name, why),
                    (Ok(limit), Some((request, was))) if request > limit => {
                        let what = format!("{was} is more than {resource}-limit, which is {text}");
                        self.error(&format!("{resource}-request"), what);
                    }
                    (Ok(quantity), _) => request = Some((quantity, text)),
                }
                found.push((kind, resource, text.to_owned()));
            }
        }
        found.sort_by_key(|one| one.0 != "requests");
        found
    }

    fn config_map(&mut self) -> Option<String> {
        let name = self.value("config")?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let label = |label: &str| {
            let inner = |b: u8| plain(b) || b == b'-';
            let ends =
                label.bytes().next().is_some_and(plain) && label.bytes().last().is_some_and(plain);
            ends && label.bytes().all(inner)
        };
        if name.len() > 253 || !name.split('.').all(label) {
            let what = format!("{}: expected the name of a ConfigMap", shown(name));
            self.error("config", what);
        }
        Some(name.to_owned())
    }

    fn prestop_sleep(&mut self) -> Option<u64> {
        let text = self.value("app-prestop-sleep")?;
        match Period::read(text) {
            Err(why) => {
                let what = format!("{}: {why}", shown(text));
                self.error("app-prestop-sleep", what);
                None
            }
            Ok(Period(time)) if time.subsec_nanos() != 0 => {
                let what = format!("{text}: expected whole seconds");
                self.error("app-prestop-sleep", what);
                None
            }
            Ok(Period(time)) => Some(time.as_secs()).filter(|seconds| *seconds > 0),
        }
    }
}

/// A name that is none of ours, fit for a message.
fn shown_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.len() <= 63 && name.chars().all(plain) {
        return name.to_owned();
    }
    shown(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(given: &[(&str, &str)], sidecar: &Sidecar) -> Vec<String> {
        let given = given.iter().copied().collect();
        let (_, errors) = resolve(&given, sidecar);
        errors.iter().map(ToString::to_string).collect()
    }

    fn env(given: &[(&str, &str)]) -> Vec<String> {
        let given = given.iter().copied().collect();
        let (resolved, errors) = resolve(&given, &Sidecar::default());
        assert_eq!(errors, []);
        let short = |name: &str| name.trim_start_matches("MLLP_BRIDGE_").to_owned();
        let env = resolved.env.iter();
        env.map(|(name, value)| format!("{}={value}", short(name)))
            .collect()
    }

    #[test]
    fn nothing_said_is_a_whole_configuration() {
        assert_eq!(
            env(&[]),
            [
                "LISTENERS__0__BIND=0.0.0.0:2575",
                "LISTENERS__0__DELIVER__URL=http://127.0.0.1:8080/hl7",
                "ADMIN__BIND=0.0.0.0:9090",
                "LIMITS__MAX_BUFFERED_BYTES=64MiB",
            ]
        );
    }

    #[test]
    fn a_file_decides_what_the_pod_does_not_say() {
        assert_eq!(env(&[("config", "adt")]), [""; 0]);
        assert_eq!(
            env(&[
                ("config", "adt"),
                ("admin-port", "9191"),
                ("app-path", "/x"),
                ("max-message-bytes", "300MiB")
            ]),
            [
                "LISTENERS__0__DELIVER__URL=http://127.0.0.1:8080/x",
                "LISTENERS__0__LIMITS__MAX_MESSAGE_BYTES=300MiB",
                "ADMIN__BIND=0.0.0.0:9191",
            ]
        );
        let sidecar = Sidecar {
            defaults: [("log-level".to_owned(), "debug".to_owned())].into(),
            ..Sidecar::default()
        };
        let (with_file, _) = resolve(&[("config", "adt")].into(), &sidecar);
        assert_eq!(with_file.env, []);
        let (without, _) = resolve(&BTreeMap::new(), &sidecar);
        assert!(
            without
                .env
                .contains(&("MLLP_BRIDGE_LOG__LEVEL".into(), "debug".into()))
        );
    }

    #[test]
    fn the_pods_way_to_the_app_wins_over_the_default_one() {
        let sidecar = Sidecar {
            defaults: [("app-url".to_owned(), "https://app.example/".to_owned())].into(),
            ..Sidecar::default()
        };
        let url = |given: &[(&str, &str)]| {
            let (resolved, errors) = resolve(&given.iter().copied().collect(), &sidecar);
            assert_eq!(errors, []);
            resolved.env[1].1.clone()
        };
        assert_eq!(url(&[]), "https://app.example/");
        assert_eq!(url(&[("app-port", "81")]), "http://127.0.0.1:81/hl7");
        assert_eq!(url(&[("app-url", "http://other/")]), "http://other/");
    }

    #[test]
    fn every_error_is_named_by_its_annotation() {
        let none = Sidecar::default();
        for (name, value, why) in [
            ("app-port", "0", "\"0\": expected a port, 1 to 65535"),
            ("app-port", "+80", "\"+80\": expected a port, 1 to 65535"),
            ("app-port", "2575", "2575 is mllp-port, the sidecar's own"),
            ("app-port", "9090", "9090 is admin-port, the sidecar's own"),
            ("app-path", "hl7", "\"hl7\": expected a path such as /hl7"),
            (
                "app-url",
                "http://localhost:2575/",
                "2575 is mllp-port, the sidecar's own",
            ),
            (
                "app-url",
                "unix:/run/app.sock",
                "the sidecar shares no volume with the app, and so no Unix socket",
            ),
            ("admin-port", "2575", "2575 is mllp-port already"),
            ("max-connections", "0", "0: expected 1 to 1000000"),
            (
                "max-connections",
                "many",
                "expected a whole number, not \"many\"",
            ),
            (
                "ack-deadline",
                "25",
                "25: a duration needs a unit: 25s, 25ms or 25m",
            ),
            ("drain-deadline", "0s", "0s: expected at least 1ms"),
            ("ready-needs-app", "yes", "\"yes\": expected true or false"),
            (
                "image",
                "a b",
                "\"a b\": expected an image such as registry/mllp-bridge:0.1.0",
            ),
            (
                "image-pull-policy",
                "always",
                "\"always\": expected one of Always, IfNotPresent, Never",
            ),
            (
                "cpu-limit",
                "1 core",
                "\"1 core\": expected a quantity such as 100m",
            ),
            (
                "memory-request",
                "256Mi",
                "256Mi is more than memory-limit, which is 128Mi",
            ),
            (
                "state",
                "emptyDir",
                "\"emptyDir\": expected one of none, emptydir",
            ),
            ("config", "A_b", "\"A_b\": expected the name of a ConfigMap"),
            (
                "app-prestop-sleep",
                "1500ms",
                "1500ms: expected whole seconds",
            ),
            ("format", " ", "has no value; remove it, or give it one"),
            (
                "app-prot",
                "1",
                "unknown annotation, did you mean app-port?",
            ),
            ("inject", "true", "is a label, not an annotation"),
            (
                "log-level",
                "inof",
                "\"inof\": unknown value, did you mean info?",
            ),
            (
                "memory-limit",
                "32Mi",
                "32Mi: half of it is for messages, and 16MiB is too small: at least 20MiB, which is the largest \
                 max_message_bytes and 4MiB",
            ),
            ("max-message-bytes", "12", "12: expected 1KiB to 1GiB"),
        ] {
            assert_eq!(
                errors(&[(name, value)], &none),
                [format!("{DOMAIN}{name}: {why}")],
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn secrets_are_not_repeated() {
        let told = errors(
            &[("app-url", "ftp://bob:hunter2@app/")],
            &Sidecar::default(),
        );
        assert_eq!(told.len(), 1);
        assert!(!told[0].contains("hunter2"), "{told:?}");
    }

    #[test]
    fn all_errors_come_at_once() {
        let given = [
            ("app-url", "http://a/"),
            ("app-path", "x"),
            ("format", "xml"),
            ("cpu-request", "lots"),
            ("zzz", ""),
        ];
        assert_eq!(errors(&given, &Sidecar::default()).len(), 4);
    }
}
