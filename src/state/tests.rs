//! The store on a real disk.

#![expect(
    clippy::await_holding_lock,
    reason = "who holds the disk stands for a disk that hangs: the store's thread shall wait"
)]

use super::*;
use crate::telemetry::Metrics;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

fn open_with(directory: &Path, durability: Durability) -> Result<(Store, Metrics), OpenError> {
    let metrics = Metrics::new("0").unwrap();
    let state = metrics.state.clone();
    Store::open(directory, durability, &["adt", "lab"], state).map(|store| (store, metrics))
}

fn open(directory: &Path) -> Store {
    open_with(directory, Durability::Process).unwrap().0
}

fn save(listener: &str, place: u64, below: u64) -> Save {
    Save {
        listener: listener.into(),
        record: Some((place, format!("record {place}").into())),
        below,
        number: Some((u128::from(place % 2), Some(place))),
    }
}

async fn saved(store: &Store, save: Save) -> bool {
    store.save(save, &mut Alarm::default()).await
}

fn places(store: &Store, listener: &str) -> Vec<u64> {
    let records = store.records(listener, 1000).unwrap();
    let whole = |(place, bytes): (u64, Vec<u8>)| {
        assert_eq!(bytes, format!("record {place}").into_bytes());
        place
    };
    records.into_iter().map(whole).collect()
}

#[tokio::test]
async fn what_was_stored_is_there_after_the_end_in_order_and_by_listener() {
    for durability in [Durability::PowerLoss, Durability::Process] {
        let directory = TempDir::new().unwrap();
        let (store, metrics) = open_with(directory.path(), durability).unwrap();
        for place in 0..12 {
            assert!(saved(&store, save("adt", place, place.saturating_sub(4))).await);
        }
        assert!(saved(&store, save("lab", 3, 0)).await);
        let forgotten = Save {
            record: None,
            number: Some((1, None)),
            ..save("adt", 0, 0)
        };
        assert!(saved(&store, forgotten).await);
        store.forget_below(&"lab".into(), 3);
        assert_eq!(metrics.state.failing.get(), 0);
        assert!(metrics.state.commit.get_sample_count() >= 14);
        store.close();

        let store = open(directory.path());
        assert_eq!(places(&store, "adt"), [7, 8, 9, 10, 11]);
        let last: Vec<_> = store.records("adt", 2).unwrap();
        assert_eq!(last.iter().map(|row| row.0).collect::<Vec<_>>(), [10, 11]);
        assert_eq!(store.numbers("adt", 9).unwrap(), [(0, 10)]);
        assert_eq!(places(&store, "lab"), [3]);
        assert_eq!(store.numbers("lab", 9).unwrap(), [(1, 3)]);
        store.close();
    }
}

#[tokio::test]
async fn a_listener_that_is_no_more_is_forgotten_and_files_are_nobody_elses_to_read() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    assert!(saved(&store, save("gone", 1, 0)).await);
    assert!(saved(&store, save("adt", 1, 0)).await);
    store.close();
    let store = open(directory.path());
    assert_eq!(places(&store, "gone"), [0; 0]);
    assert_eq!(store.numbers("gone", 9).unwrap(), []);
    assert_eq!(places(&store, "adt"), [1]);
    for file in fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.path());
    }
}

#[test]
fn a_directory_has_one_process_and_must_be_there() {
    let directory = TempDir::new().unwrap();
    let first = open(directory.path());
    let error = |path: &Path| {
        let result = open_with(path, Durability::Process);
        result.map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(
        error(directory.path()),
        "another process uses this directory: it holds state.lock"
    );
    first.close();
    open(directory.path()).close();
    let file = directory.path().join("state.lock");
    assert_eq!(error(&file), "this is not a directory");
    let nowhere = directory.path().join("nowhere");
    assert_eq!(error(&nowhere), "there is no such directory");
}

#[tokio::test]
async fn messages_that_wait_at_one_time_share_a_commit() {
    let directory = TempDir::new().unwrap();
    let (store, metrics) = open_with(directory.path(), Durability::PowerLoss).unwrap();
    let disk = store.0.disk();
    let saves: Vec<_> = (0..50)
        .map(|place| {
            let store = store.clone();
            tokio::spawn(async move { saved(&store, save("adt", place, 0)).await })
        })
        .collect();
    // Each has put its record into the queue, or its thread has taken it, by the time that this one is polled again.
    tokio::task::yield_now().await;
    drop(disk);
    for save in saves {
        assert!(save.await.unwrap());
    }
    let commits = metrics.state.commit.get_sample_count();
    assert!(commits <= 3, "{commits} commits for 50 messages");
    assert_eq!(places(&store, "adt").len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_is_waited_for_once_and_used_again_when_it_is_back() {
    let directory = TempDir::new().unwrap();
    let (store, metrics) = open_with(directory.path(), Durability::Process).unwrap();
    let disk = store.0.disk();
    let began = Instant::now();
    assert!(!saved(&store, save("adt", 0, 0)).await);
    assert_eq!(began.elapsed(), PATIENCE);
    for place in 1..4 {
        assert!(!saved(&store, save("adt", place, 0)).await);
    }
    assert_eq!(began.elapsed(), PATIENCE, "who comes next does not wait");
    assert_eq!(metrics.state.failing.get(), 1);
    drop(disk);
    let mut place = 4;
    while !saved(&store, save("adt", place, 0)).await {
        place += 1;
        std::thread::yield_now();
    }
    assert_eq!(metrics.state.failing.get(), 0);
    assert_eq!(*places(&store, "adt").last().unwrap(), place);
}

/// Whatever is in the file: it is read as it was, or moved aside, and the bridge runs.
fn damaged(damage: impl FnOnce(&mut Vec<u8>)) -> Vec<u64> {
    let directory = TempDir::new().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = open(directory.path());
    runtime.block_on(async {
        for place in 0..20 {
            assert!(saved(&store, save("adt", place, 0)).await);
        }
    });
    store.close();
    let path = directory.path().join("state.redb");
    let mut bytes = fs::read(&path).unwrap();
    damage(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    let store = open(directory.path());
    let found = places(&store, "adt");
    let aside = directory.path().join("state.redb.damaged");
    if aside.exists() {
        assert_eq!(fs::read(aside).unwrap().len(), bytes.len());
        assert_eq!(found, [0; 0]);
    }
    assert!(runtime.block_on(saved(&store, save("adt", 100, 0))));
    assert_eq!(*places(&store, "adt").last().unwrap(), 100);
    store.close();
    found
}

#[test]
fn a_damaged_file_is_moved_aside_and_never_stops_the_bridge() {
    let all: Vec<u64> = (0..20).collect();
    assert_eq!(damaged(|_| {}), all);
    assert_eq!(damaged(|file| file.fill(0)), [0; 0]);
    assert_eq!(damaged(|file| *file = b"not a store".to_vec()), [0; 0]);
    assert_eq!(damaged(|file| file.truncate(file.len() / 2)), [0; 0]);
    // A crash of the machine before the first commit.
    assert_eq!(damaged(Vec::clear), [0; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_damage_costs_the_memory_and_no_more(
        at: prop::sample::Index,
        bytes in prop::collection::vec(any::<u8>(), 1..5000),
        length in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let found = damaged(|file| {
            let at = at.index(file.len());
            for (old, new) in file[at..].iter_mut().zip(bytes) {
                *old = new;
            }
            if let Some(length) = length {
                file.truncate(length.index(file.len()));
            }
        });
        prop_assert!(found.is_empty() || found == (0..20).collect::<Vec<u64>>(), "{:?}", found);
    }
}
