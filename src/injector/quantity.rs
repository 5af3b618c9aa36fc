//! Kubernetes' quantities: `10m`, `0.5`, `128Mi`, `1e3`.
//!
//! Read here so that a bad one is refused by its annotation's name and together with every other error.

use crate::config::parse::shown;

/// An amount in thousandths: of a CPU, or of a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Quantity(u128);

/// Suffix, and what it stands for in thousandths.
const UNITS: [(&str, u128); 14] = [
    ("", 1_000),
    ("m", 1),
    ("k", 1_000_000),
    ("M", 1_000_000_000),
    ("G", 1_000_000_000_000),
    ("T", 1_000_000_000_000_000),
    ("P", 1_000_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000_000),
    ("Ki", 1_000 << 10),
    ("Mi", 1_000 << 20),
    ("Gi", 1_000 << 30),
    ("Ti", 1_000 << 40),
    ("Pi", 1_000 << 50),
    ("Ei", 1_000 << 60),
];
/// More than any machine has, and far from overflow.
const MOST: u128 = 1_000 << 62;

impl Quantity {
    /// Reads one that is more than nothing.
    pub(super) fn read(text: &str, example: &str) -> Result<Self, String> {
        let wrong = || format!("{}: expected a quantity such as {example}", shown(text));
        let digits = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at_checked(digits).ok_or_else(wrong)?;
        let unit = match suffix.strip_prefix(['e', 'E']) {
            // `1E` is an exa, `1E3` a thousand.
            Some(exponent) if !exponent.is_empty() && suffix != "Ei" => {
                let exponent: u32 = exponent
                    .parse()
                    .ok()
                    .filter(|exponent| *exponent <= 18)
                    .ok_or_else(wrong)?;
                10_u128.pow(exponent) * 1_000
            }
            _ => {
                let known = UNITS.iter().find(|known| known.0 == suffix);
                known.ok_or_else(wrong)?.1
            }
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let places = u32::try_from(fraction.len()).map_err(|_| wrong())?;
        let plain = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + fraction.len() == 0
            || whole.len() > 18
            || places > 9
            || !plain(whole)
            || !plain(fraction)
        {
            return Err(wrong());
        }
        let scaled: u128 = format!("{whole}{fraction}").parse().map_err(|_| wrong())?;
        let thousandths = scaled
            .checked_mul(unit)
            .ok_or_else(wrong)?
            .div_ceil(10_u128.pow(places));
        match thousandths {
            0 => Err(format!("{text}: expected more than nothing")),
            1..=MOST => Ok(Self(thousandths)),
            _ => Err(wrong()),
        }
    }

    /// Whole units, rounded down.
    pub(super) fn units(self) -> u64 {
        u64::try_from(self.0 / 1_000).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        for (text, thousandths) in [
            ("10m", 10),
            ("0.5", 500),
            (".5", 500),
            ("2", 2_000),
            ("2.", 2_000),
            ("1k", 1_000_000),
            ("16Mi", 16_777_216_000),
            ("1.5Gi", 1_610_612_736_000),
            ("1e3", 1_000_000),
            ("1E", 1_000_000_000_000_000_000_000),
            ("1Ei", 1_000 << 60),
            ("0.0001", 1),
        ] {
            assert_eq!(
                Quantity::read(text, "1"),
                Ok(Quantity(thousandths)),
                "{text}"
            );
        }
        for text in [
            "",
            ".",
            "m",
            "-1",
            "+1",
            "1 ",
            " 1",
            "1mi",
            "1MB",
            "1.2.3",
            "1e",
            "1e99",
            "0",
            "0Mi",
            "1e-3",
            "99999999999999999999",
            "9Ei",
            "ten",
            "1ü",
            "\u{661}",
        ] {
            assert!(Quantity::read(text, "1").is_err(), "{text}");
        }
        assert_eq!(Quantity::read("1500m", "1").map(Quantity::units), Ok(1));
    }
}
