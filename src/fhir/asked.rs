//! Which elements of an object rows ask for: what must be there, and what must not.

/// An element that is asked for.
#[derive(Debug)]
pub(super) enum Asked {
    /// By its name and those around it: `period.start`.
    Steps(Vec<String>),
    /// Any whose name begins so: `value*`.
    Starts(String),
}

impl Asked {
    /// As maps write it.
    pub(super) fn read(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(start) => Self::Starts(start.to_owned()),
            None => Self::Steps(text.split('.').map(str::to_owned).collect()),
        }
    }

    /// Several.
    pub(super) fn all<'n, N: AsRef<str> + ?Sized + 'n>(
        names: impl IntoIterator<Item = &'n N>,
    ) -> Vec<Self> {
        let names = names.into_iter();
        names.map(|name| Self::read(name.as_ref())).collect()
    }

    /// Whether it is this element of the object itself.
    pub(super) fn is(&self, name: &str) -> bool {
        matches!(self, Self::Steps(steps) if matches!(&steps[..], [own] if own == name))
    }
}
