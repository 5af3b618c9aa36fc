//! Latencies for people: durations in three digits, and a histogram in bars.

use hdrhistogram::Histogram;
use std::fmt::Write;
use std::time::Duration;

/// Fewer answers than this are told by their percentiles alone.
const FEW: u64 = 20;
const ROWS: u32 = 10;
const WIDTH: u64 = 40;

/// `412 µs`, `4.12 ms`, `41.2 ms`, `1.23 s`.
pub(super) fn duration(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    match micros {
        _ if micros < 999.5 => format!("{micros:.0} µs"),
        _ if micros < 9_995.0 => format!("{:.2} ms", micros / 1e3),
        _ if micros < 99_950.0 => format!("{:.1} ms", micros / 1e3),
        _ if micros < 999_500.0 => format!("{:.0} ms", micros / 1e3),
        _ if micros < 9_995_000.0 => format!("{:.2} s", micros / 1e6),
        _ => format!("{:.1} s", micros / 1e6),
    }
}

/// One row for each part of the range, all of the same ratio: latencies spread over powers of ten. Empty where there is too
/// little to show.
pub(super) fn bars(latency: &Histogram<u64>) -> String {
    let (min, max) = (latency.min(), latency.max());
    if latency.len() < FEW || max < min.saturating_mul(2) {
        return String::new();
    }
    let ratio = (max as f64 / min as f64).powf(1.0 / f64::from(ROWS));
    let mut from = min;
    let mut rows = Vec::new();
    for row in 1..=ROWS {
        let to = if row == ROWS {
            max
        } else {
            (min as f64 * ratio.powf(f64::from(row))) as u64
        };
        if to < from {
            continue;
        }
        rows.push((to, latency.count_between(from, to)));
        // Values are known to three digits: what is equivalent to `to` is in this row.
        from = latency.highest_equivalent(to) + 1;
    }
    let most = rows
        .iter()
        .map(|(_, count)| *count)
        .max()
        .unwrap_or(1)
        .max(1);
    let mut text = String::new();
    for (to, count) in rows {
        let length = (count * WIDTH).div_ceil(most) as usize;
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "  ≤ {:>8}  {:<width$}  {count}",
            duration(Duration::from_micros(to)),
            "▇".repeat(length),
            width = WIDTH as usize,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        for (micros, text) in [
            (7, "7 µs"),
            (999, "999 µs"),
            (1_234, "1.23 ms"),
            (12_345, "12.3 ms"),
            (123_456, "123 ms"),
            (1_234_567, "1.23 s"),
            (61_000_000, "61.0 s"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn every_answer_is_in_one_bar() {
        let mut latency = Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        for micros in (0..3000u64).map(|n| 100 + n * n) {
            latency.record(micros).unwrap();
        }
        let text = bars(&latency);
        assert_eq!(text.lines().count(), ROWS as usize, "{text}");
        let counts = text.lines().filter_map(|line| line.split(' ').next_back());
        let sum: u64 = counts.map(|count| count.parse::<u64>().unwrap()).sum();
        assert_eq!(sum, 3000, "{text}");
    }

    #[test]
    fn few_or_equal_latencies_have_no_bars() {
        let mut latency = Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        latency.record_n(100, 1000).unwrap();
        assert_eq!(bars(&latency), "");
    }
}
