//! The result for people.

use super::bars::{bars, duration};
use super::load::Settings;
use super::plan::Plan;
use super::tally::{PERCENTILES, Tally, percentile};
use crate::cmd::paint::Paint;
use crate::outbound::{Code, Kind};
use std::fmt::Write;
use std::time::Duration;

/// What a code means, in the words of table 0008.
fn meaning(code: Code) -> &'static str {
    match code {
        Code::Aa => "accepted",
        Code::Ca => "taken into safe storage",
        Code::Ae => "error",
        Code::Ce => "error on commit",
        Code::Ar => "rejected",
        Code::Cr => "rejected on commit",
    }
}

fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Unreachable => "no connection",
        Kind::Closed => "closed without an answer",
        Kind::Timeout => "no answer in time",
        Kind::Mismatch => "answer to another message",
        Kind::BadAnswer => "answer is no acknowledgement",
        Kind::Unframable => "not sent: cannot be framed",
        Kind::Refused => "refused before it was read (NAK)",
    }
}

/// Everything, ready to print.
pub(super) fn text(plan: &Plan, settings: &Settings, tally: &Tally, paint: Paint) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = summary(&mut out, plan, settings, tally, paint);
    let _ = answers(&mut out, tally, paint);
    let _ = latency(&mut out, tally, paint);
    let _ = failures(&mut out, plan, tally, paint);
    let _ = verdict(&mut out, tally, paint);
    out
}

fn summary(
    out: &mut String,
    plan: &Plan,
    settings: &Settings,
    tally: &Tally,
    paint: Paint,
) -> std::fmt::Result {
    if settings.lines {
        writeln!(out)?;
    }
    let files = match plan.files.as_slice() {
        [one] => one.clone(),
        more => format!("{} files", more.len()),
    };
    let times = match settings.repeat {
        1 => String::new(),
        repeat => format!(", {repeat} times"),
    };
    let messages = counted(plan.entries.len() as u64, "message");
    writeln!(
        out,
        "{}",
        paint.bold(&format!("Sent to {}", settings.address))
    )?;
    writeln!(out, "  messages     {messages} from {files}{times}")?;
    let closed = match tally.reopened {
        0 => String::new(),
        reopened => format!(", reopened {}", counted(reopened, "time")),
    };
    writeln!(out, "  connections  {}{closed}", tally.opened)?;
    if let Some(rate) = settings.rate {
        writeln!(out, "  rate         at most {rate}/s")?;
    }
    writeln!(out, "  time         {}", duration(tally.elapsed))?;
    if tally.answered() > 0 {
        let kib = tally.bytes as f64 / 1024.0 / tally.elapsed.as_secs_f64().max(1e-6);
        let throughput = tally.throughput();
        writeln!(
            out,
            "  throughput   {throughput:.1} messages/s, {kib:.1} KiB/s"
        )?;
    }
    for note in &plan.notes {
        writeln!(out, "  note         {note}")?;
    }
    if tally.unasked > 0 {
        let blocks = counted(tally.unasked, "time");
        writeln!(
            out,
            "  note         the server sent what answered no message, {blocks}"
        )?;
    }
    if tally.unacknowledged > 0 {
        let messages = counted(tally.unacknowledged, "message");
        writeln!(
            out,
            "  note         {messages} of batches have no acknowledgement in the answer: by agreement, or lost?"
        )?;
    }
    for (kind, count) in &tally.deviations {
        writeln!(
            out,
            "  note         the server's answers deviate: {kind} ({count})"
        )?;
    }
    Ok(())
}

fn answers(out: &mut String, tally: &Tally, paint: Paint) -> std::fmt::Result {
    writeln!(out, "\n{}", paint.bold("Answers"))?;
    let mut rows: Vec<(bool, &str, &str, u64)> = tally
        .answers
        .iter()
        .map(|(code, count)| (code.is_positive(), code.as_str(), meaning(*code), *count))
        .collect();
    if tally.unanswered > 0 {
        rows.push((true, "-", "no answer wanted", tally.unanswered));
    }
    let failures = tally.failures.iter();
    rows.extend(failures.map(|(kind, count)| (false, "-", title(*kind), *count)));
    if tally.not_sent() > 0 {
        rows.push((false, "-", "not sent, or not waited for", tally.not_sent()));
    }
    let width = rows
        .iter()
        .map(|row| row.3.to_string().len())
        .max()
        .unwrap_or(1);
    for (good, code, meaning, count) in rows {
        let code = format!("{code:<2}");
        let code = if good {
            paint.good(&code)
        } else {
            paint.bad(&code)
        };
        let share = 100.0 * count as f64 / tally.planned.max(1) as f64;
        writeln!(
            out,
            "  {code}  {meaning:<32}  {count:>width$}  {share:>5.1} %"
        )?;
    }
    Ok(())
}

fn latency(out: &mut String, tally: &Tally, paint: Paint) -> std::fmt::Result {
    if tally.latency.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", paint.bold("Time to the answer"))?;
    let at = |place| duration(Duration::from_micros(percentile(&tally.latency, place)));
    let told: Vec<_> = PERCENTILES
        .iter()
        .map(|(name, place)| format!("{} {}", paint.dim(name), at(*place)))
        .collect();
    writeln!(out, "  {}", told.join("   "))?;
    let bars = bars(&tally.latency);
    if !bars.is_empty() {
        write!(out, "\n{bars}")?;
    }
    Ok(())
}

fn failures(out: &mut String, plan: &Plan, tally: &Tally, paint: Paint) -> std::fmt::Result {
    if tally.listed.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", paint.bold("Not accepted"))?;
    let mut file = None;
    for listed in &tally.listed {
        let Some(entry) = plan.entries.get(listed.entry) else {
            continue;
        };
        if file != Some(entry.file) {
            writeln!(out, "  {}", plan.file(entry))?;
            file = Some(entry.file);
        }
        let outcome = paint.bad(&format!("{:<10}", listed.outcome));
        let times = match listed.times {
            1 => String::new(),
            times => format!(" ({times} times)"),
        };
        let line = format!(
            "    #{:<5} {:<20}  {outcome}  {}{times}",
            entry.number, entry.control_id, listed.detail
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    if tally.unlisted > 0 {
        writeln!(out, "  and {} more", tally.unlisted)?;
    }
    Ok(())
}

fn verdict(out: &mut String, tally: &Tally, paint: Paint) -> std::fmt::Result {
    writeln!(out)?;
    if let Some(reason) = &tally.ended_early {
        writeln!(out, "{}", paint.bad(&format!("ended early: {reason}")))?;
    }
    let (accepted, planned) = (tally.accepted(), tally.planned);
    let line = match planned {
        1 if accepted == 1 => "the message was accepted".to_owned(),
        1 => "the message was not accepted".to_owned(),
        _ if accepted == planned => format!("all {planned} messages were accepted"),
        _ => format!("{accepted} of {planned} messages were accepted"),
    };
    let line = if tally.all_accepted() {
        paint.good(&line)
    } else {
        paint.bad(&line)
    };
    writeln!(out, "{line}")
}

fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
