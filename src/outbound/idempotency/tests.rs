//! Keys in memory, and in a store on a real disk.

use super::*;
use crate::config::Durability;
use crate::telemetry::Metrics;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const BOUNDS: Bounds = Bounds {
    window: Duration::from_secs(3600),
    max_entries: 3,
    max_bytes: 10_000,
};

fn in_memory() -> Keys {
    Keys::new(Some(BOUNDS), None).unwrap()
}

fn open(directory: &Path) -> (Store, Keys) {
    let metrics = Metrics::new("0").unwrap();
    let state = metrics.state;
    let store = Store::open(directory, Durability::Process, &[NAME], state).unwrap();
    let keys = Keys::new(Some(BOUNDS), Some(store.clone())).unwrap();
    (store, keys)
}

fn body(text: &str) -> Request {
    Request::of(&[text.as_bytes()])
}

async fn enter<'k>(keys: &'k Keys, key: &str) -> Entry<'k> {
    keys.enter("ehr", key.as_bytes(), body("message")).await
}

async fn attempt<'k>(keys: &'k Keys, key: &str) -> Attempt<'k> {
    match enter(keys, key).await {
        Entry::Send(attempt) => attempt,
        other => panic!("{key} is not free: {other:?}"),
    }
}

async fn begin<'k>(keys: &'k Keys, key: &str) -> Begun<'k> {
    let attempt = attempt(keys, key).await;
    attempt.begin(&mut Alarm::default()).await.unwrap()
}

async fn answer(keys: &Keys, key: &str, text: &str) {
    let begun = begin(keys, key).await;
    let stored = begun.answered(text.into(), &mut Alarm::default()).await;
    assert!(stored, "{key}");
}

/// What a request with this key is told: `free`, `unknown`, `reused`, or its answer.
async fn known(keys: &Keys, key: &str) -> String {
    match enter(keys, key).await {
        Entry::Send(_) => "free".into(),
        Entry::Unknown => "unknown".into(),
        Entry::Reused => "reused".into(),
        Entry::Off => "off".into(),
        Entry::Again(sent) => {
            let answer = sent.answer.as_ref().map(|answer| answer.to_vec());
            String::from_utf8(answer.unwrap_or_default()).unwrap()
        }
    }
}

#[test]
fn what_can_be_a_key() {
    let longest = "x".repeat(LONGEST);
    for good in [
        "a",
        "8e03978e-40d5-43dd-bc93-6894a57f9324",
        "\"q\"",
        &longest,
    ] {
        assert!(is_key(good.as_bytes()), "{good}");
    }
    let longer = "x".repeat(LONGEST + 1);
    for bad in ["", "a b", "é", "a\t", &longer] {
        assert!(!is_key(bad.as_bytes()), "{bad}");
    }
    assert_ne!(Request::of(&[b"a", b"b"]), Request::of(&[b"ab"]));
    assert_ne!(Request::of(&[b"a", b""]), Request::of(&[b"", b"a"]));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_of_one_request_to_one_destination() {
    let keys = in_memory();
    answer(&keys, "k", "AA").await;
    assert_eq!(known(&keys, "k").await, "AA");
    assert_eq!(known(&keys, "k").await, "AA", "and again");
    let other = keys.enter("ehr", b"k", body("another")).await;
    assert!(matches!(other, Entry::Reused), "{other:?}");
    let elsewhere = keys.enter("lab", b"k", body("another")).await;
    assert!(matches!(elsewhere, Entry::Send(_)), "{elsewhere:?}");
    assert_eq!(known(&keys, "K").await, "free", "keys are case-sensitive");
}

#[tokio::test(start_paused = true)]
async fn it_is_bounded_by_age_number_and_bytes() {
    let keys = in_memory();
    for key in ["1", "2", "3", "4"] {
        answer(&keys, key, "AA").await;
    }
    assert_eq!(known(&keys, "1").await, "free", "a fourth is one too many");
    assert_eq!(known(&keys, "2").await, "AA");
    tokio::time::advance(BOUNDS.window).await;
    assert_eq!(known(&keys, "2").await, "free", "too old");

    for key in ["5", "6"] {
        answer(&keys, key, &"x".repeat(6000)).await;
    }
    assert_eq!(known(&keys, "5").await, "free", "too many bytes");
    // One that is too large to be kept must not be sent again all the same.
    answer(&keys, "7", &"x".repeat(20_000)).await;
    assert_eq!(known(&keys, "7").await, "unknown");
    assert_eq!(known(&keys, "6").await.len(), 6000);
}

#[tokio::test(start_paused = true)]
async fn what_is_being_sent_is_not_forgotten_whatever_comes_after_it() {
    let keys = in_memory();
    let slow = begin(&keys, "slow").await;
    for key in 0..10 {
        answer(&keys, &key.to_string(), "AA").await;
    }
    tokio::time::advance(BOUNDS.window * 2).await;
    keys.trim();
    let second = enter(&keys, "slow");
    let waits = tokio::time::timeout(Duration::from_secs(1), second).await;
    assert!(waits.is_err(), "its second request waits: {waits:?}");
    drop(slow);
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_the_first_is_out_gets_its_answer_or_its_place() {
    let keys = in_memory();
    let first = begin(&keys, "k").await;
    let (second, ()) = tokio::join!(known(&keys, "k"), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        first.answered("AE".into(), &mut Alarm::default()).await;
    });
    assert_eq!(second, "AE");

    // Nothing was sent: the second one sends.
    for begins in [false, true] {
        let key = format!("free {begins}");
        let first = attempt(&keys, &key).await;
        let (second, ()) = tokio::join!(known(&keys, &key), async {
            match begins {
                true => first
                    .begin(&mut Alarm::default())
                    .await
                    .unwrap()
                    .nothing_sent(),
                false => drop(first),
            }
        });
        assert_eq!(second, "free", "{key}");
    }
}

#[tokio::test]
async fn a_holder_that_dies_leaves_nobody_hanging_and_its_outcome_is_unknown() {
    let keys = Arc::new(in_memory());
    for how in ["panics", "is cancelled"] {
        let (told, begun) = tokio::sync::oneshot::channel();
        let holder = tokio::spawn({
            let keys = Arc::clone(&keys);
            async move {
                let _begun = begin(&keys, how).await;
                let _ = told.send(());
                match how {
                    "panics" => panic!("as the test wants it"),
                    _ => std::future::pending::<()>().await,
                }
            }
        });
        begun.await.unwrap();
        let second = tokio::spawn({
            let keys = Arc::clone(&keys);
            async move { known(&keys, how).await }
        });
        tokio::task::yield_now().await;
        holder.abort();
        assert!(holder.await.is_err());
        assert_eq!(second.await.unwrap(), "unknown", "the holder {how}");
    }
    // Before its first byte nothing can have arrived.
    let attempt = attempt(&keys, "early").await;
    drop(attempt);
    assert_eq!(known(&keys, "early").await, "free");
}

#[tokio::test]
async fn a_restart_knows_what_was_answered_and_what_was_only_begun() {
    let directory = TempDir::new().unwrap();
    let (store, keys) = open(directory.path());
    answer(&keys, "answered", "AA").await;
    let lost = begin(&keys, "begun").await;
    let back = begin(&keys, "nothing sent").await;
    back.nothing_sent();
    drop(attempt(&keys, "not begun").await);
    // As a kill leaves it: neither answered nor dropped.
    std::mem::forget(lost);
    store.close();

    for restart in 0..2 {
        let (store, keys) = open(directory.path());
        assert_eq!(known(&keys, "answered").await, "AA", "{restart}");
        assert_eq!(known(&keys, "begun").await, "unknown", "{restart}");
        assert_eq!(known(&keys, "nothing sent").await, "free", "{restart}");
        assert_eq!(known(&keys, "not begun").await, "free", "{restart}");
        let other = keys.enter("ehr", b"begun", body("another")).await;
        assert!(matches!(other, Entry::Reused), "{other:?}");
        store.close();
    }

    let (store, keys) = open(directory.path());
    answer(&keys, "nothing sent", "AR").await;
    keys.reload(Some(Bounds {
        max_entries: 2,
        ..BOUNDS
    }));
    store.close();
    let (store, keys) = open(directory.path());
    assert_eq!(known(&keys, "answered").await, "free", "only two are kept");
    assert_eq!(known(&keys, "begun").await, "unknown");
    assert_eq!(known(&keys, "nothing sent").await, "AR");
    store.close();
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_begun() {
    let directory = TempDir::new().unwrap();
    let (store, keys) = open(directory.path());
    let unanswered = begin(&keys, "on its way").await;
    // The thread has gone, as one that a disk holds for ever.
    store.close();
    let attempt = attempt(&keys, "k").await;
    let begun = attempt.begin(&mut Alarm::default()).await;
    assert_eq!(begun.err(), Some(NotStored));
    assert_eq!(known(&keys, "k").await, "free", "nothing was sent");
    // What was on its way is answered all the same, and known as long as the process lives.
    let mut alarm = Alarm::default();
    assert!(!unanswered.answered("AA".into(), &mut alarm).await);
    assert_eq!(known(&keys, "on its way").await, "AA");
    let (store, keys) = open(directory.path());
    assert_eq!(known(&keys, "on its way").await, "unknown");
    assert_eq!(known(&keys, "k").await, "free");
    store.close();
}

#[tokio::test(start_paused = true)]
async fn turned_off_no_key_is_taken() {
    let keys = in_memory();
    answer(&keys, "k", "AA").await;
    let begun = begin(&keys, "out").await;
    keys.reload(None);
    assert_eq!(known(&keys, "k").await, "off");
    assert!(begun.answered("AA".into(), &mut Alarm::default()).await);
    keys.reload(Some(BOUNDS));
    assert_eq!(known(&keys, "k").await, "free");
}
