//! The file: `state.redb` in the directory, and `state.lock` beside it, which says whose it is.

use super::Save;
use crate::config::Durability;
use redb::backends::FileBackend;
use redb::{Builder, Database, ReadableDatabase, StorageBackend, StorageError, TableDefinition};
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Listener and place; in another form they get another name, and these are left behind.
const RECORDS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("records-1");
/// Listener and partner.
const NUMBERS: TableDefinition<'_, (&str, u128), u64> = TableDefinition::new("numbers-1");
/// The store is read once, at the start, and then written only.
const CACHE: usize = 1 << 20;
/// Records may hold what an app has answered: nobody else's business.
const MODE: u32 = 0o600;

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing of that name.
    #[error("there is no such directory")]
    NoDirectory,
    /// Something else of that name.
    #[error("this is not a directory")]
    NotADirectory,
    /// Another process holds its lock.
    #[error("another process uses this directory: it holds state.lock")]
    Taken,
    /// Access, space, the disk itself.
    #[error("cannot read and write there: {0}")]
    Io(io::Error),
    /// The store's own.
    #[error("cannot use state.redb: {0}")]
    Store(Failed),
    /// No thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Failed> for OpenError {
    fn from(failed: Failed) -> Self {
        Self::Store(failed)
    }
}

/// An error of the store.
#[derive(Debug)]
pub struct Failed(Box<redb::Error>);

impl<E: Into<redb::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(Box::new(error.into()))
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Failed {
    /// Whether the file is at fault, and not the disk or its permissions.
    fn is_damage(&self) -> bool {
        use redb::Error::{
            Corrupted, Io, RepairAborted, TableIsMultimap, TableTypeMismatch,
            TypeDefinitionChanged, UpgradeRequired,
        };
        match &*self.0 {
            Corrupted(_)
            | UpgradeRequired(_)
            | RepairAborted
            | TableTypeMismatch { .. }
            | TableIsMultimap(_)
            | TypeDefinitionChanged { .. } => true,
            Io(error) => matches!(
                error.kind(),
                ErrorKind::InvalidData | ErrorKind::UnexpectedEof
            ),
            _ => false,
        }
    }
}

type Result<T, E = Failed> = std::result::Result<T, E>;

/// A panic in the store is damage as well: some is met that way.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let panicked = StorageError::Corrupted("the store panicked".into());
        Err(panicked.into())
    })
}

#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    durability: Durability,
    /// `None` after a failure, until it is opened again.
    database: Option<Database>,
    failed: Option<Instant>,
    /// Held as long as the process lives; the kernel lets go of it, however that ends.
    lock: Option<File>,
}

/// The file, with or without the wait for the disk.
#[derive(Debug)]
struct Backend<F> {
    file: F,
    durability: Durability,
}

impl<F: StorageBackend> StorageBackend for Backend<F> {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.durability {
            Durability::PowerLoss => self.file.sync_data(),
            // What has been written is with the kernel, which outlives the process.
            Durability::Process => Ok(()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

impl Disk {
    pub(super) fn open(directory: &Path, durability: Durability) -> Result<Self, OpenError> {
        let metadata = directory.metadata().map_err(|error| match error.kind() {
            ErrorKind::NotFound => OpenError::NoDirectory,
            _ => OpenError::Io(error),
        })?;
        if !metadata.is_dir() {
            return Err(OpenError::NotADirectory);
        }
        let lock = private()
            .truncate(false)
            .open(directory.join("state.lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Taken,
            TryLockError::Error(error) => OpenError::Io(error),
        })?;
        let mut disk = Self {
            path: directory.join("state.redb"),
            durability,
            database: None,
            failed: None,
            lock: Some(lock),
        };
        disk.database = Some(disk.database()?);
        if durability == Durability::PowerLoss {
            // A file that is new must be found again.
            File::open(directory)?.sync_all()?;
        }
        Ok(disk)
    }

    /// Opens the file. One that is damaged is moved aside: what is in it is a memory, and no message.
    fn database(&self) -> Result<Database, OpenError> {
        match self.try_open() {
            Ok(database) => Ok(database),
            Err(OpenError::Store(error)) if error.is_damage() => {
                let aside = self.path.with_extension("redb.damaged");
                tracing::error!(
                    path = %self.path.display(), moved_to = %aside.display(), %error,
                    "the state file is damaged: begun anew"
                );
                std::fs::rename(&self.path, &aside)?;
                self.try_open()
            }
            Err(other) => Err(other),
        }
    }

    fn try_open(&self) -> Result<Database, OpenError> {
        let file = private().truncate(false).open(&self.path)?;
        let backend = Backend {
            file: FileBackend::new(file).map_err(Failed::from)?,
            durability: self.durability,
        };
        guarded(|| open_on(backend)).map_err(OpenError::from)
    }

    /// Forgets listeners that are no more.
    pub(super) fn retain(&mut self, listeners: &[&str]) -> Result<(), OpenError> {
        self.change(|write| {
            let of_ours = |listener: &str| listeners.contains(&listener);
            write.open_table(RECORDS)?.retain(|key, _| of_ours(key.0))?;
            write.open_table(NUMBERS)?.retain(|key, _| of_ours(key.0))?;
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn records(
        &self,
        listener: &str,
        most: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, OpenError> {
        let records = self.read(|read| {
            let table = read.open_table(RECORDS)?;
            let all = table.range((listener, 0)..=(listener, u64::MAX))?;
            let last = all.rev().take(most).map(|row| {
                let (key, value) = row?;
                Ok((key.value().1, value.value().to_vec()))
            });
            last.collect::<Result<Vec<_>>>()
        });
        let mut records = records?;
        records.reverse();
        Ok(records)
    }

    pub(super) fn numbers(
        &self,
        listener: &str,
        most: usize,
    ) -> Result<Vec<(u128, u64)>, OpenError> {
        let numbers = self.read(|read| {
            let table = read.open_table(NUMBERS)?;
            let all = table.range((listener, 0)..=(listener, u128::MAX))?;
            let some = all.take(most).map(|row| {
                let (key, value) = row?;
                Ok((key.value().1, value.value()))
            });
            some.collect::<Result<Vec<_>>>()
        });
        Ok(numbers?)
    }

    /// One commit. After a failure the file is opened anew, at most once in `again`.
    pub(super) fn commit(
        &mut self,
        saves: &[Save],
        below: &HashMap<Arc<str>, u64>,
        again: Duration,
    ) -> Result<(), String> {
        if self.database.is_none() {
            if self.failed.is_some_and(|at| at.elapsed() < again) {
                return Err("as before".into());
            }
            match self.database() {
                Ok(database) => self.database = Some(database),
                Err(error) => {
                    self.failed = Some(Instant::now());
                    return Err(error.to_string());
                }
            }
        }
        let result = self.change(|write| put(write, saves, below));
        result.map_err(|failed| {
            self.failed = Some(Instant::now());
            // After an error in the middle of it, the store takes no more from this handle.
            self.close();
            failed.to_string()
        })
    }

    /// In order: the next start need not repair anything.
    pub(super) fn close(&mut self) {
        let database = self.database.take();
        let _ = guarded(move || {
            drop(database);
            Ok(())
        });
    }

    /// Lets others have the directory.
    pub(super) fn end(&mut self) {
        self.close();
        self.lock = None;
    }

    fn change(&self, change: impl FnOnce(&redb::WriteTransaction) -> Result<()>) -> Result<()> {
        let Some(database) = &self.database else {
            return Err(StorageError::DatabaseClosed.into());
        };
        guarded(|| {
            let write = database.begin_write()?;
            change(&write)?;
            write.commit()?;
            Ok(())
        })
    }

    fn read<T>(&self, read: impl FnOnce(&redb::ReadTransaction) -> Result<T>) -> Result<T> {
        let Some(database) = &self.database else {
            return Err(StorageError::DatabaseClosed.into());
        };
        guarded(|| read(&database.begin_read()?))
    }
}

fn open_on(backend: impl StorageBackend) -> Result<Database> {
    let database = Builder::new()
        .set_cache_size(CACHE)
        .set_check_integrity_on_open(true)
        .create_with_backend(backend)?;
    let write = database.begin_write()?;
    write.open_table(RECORDS)?;
    write.open_table(NUMBERS)?;
    write.commit()?;
    Ok(database)
}

fn put(
    write: &redb::WriteTransaction,
    saves: &[Save],
    below: &HashMap<Arc<str>, u64>,
) -> Result<()> {
    let mut records = write.open_table(RECORDS)?;
    let mut numbers = write.open_table(NUMBERS)?;
    for Save {
        listener,
        record,
        number,
        ..
    } in saves
    {
        if let Some((place, bytes)) = record {
            records.insert((&**listener, *place), &**bytes)?;
        }
        match number {
            Some((partner, Some(last))) => {
                numbers.insert((&**listener, *partner), *last)?;
            }
            Some((partner, None)) => {
                numbers.remove((&**listener, *partner))?;
            }
            None => {}
        }
    }
    for (listener, place) in below {
        records.retain_in((&**listener, 0)..(&**listener, *place), |_, _| false)?;
    }
    Ok(())
}

/// A file that only the user of this process reads.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(MODE);
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Mutex;

    /// A disk that notes what is done to it, so that its power can fail at any point.
    #[derive(Debug, Clone, Default)]
    struct Noted(Arc<Mutex<(Vec<u8>, Vec<Op>)>>);

    #[derive(Debug, Clone)]
    enum Op {
        Write(usize, Vec<u8>),
        Length(usize),
        Sync,
    }

    impl Op {
        fn apply(&self, image: &mut Vec<u8>) {
            match self {
                Self::Write(at, data) => image[*at..at + data.len()].copy_from_slice(data),
                Self::Length(length) => image.resize(*length, 0),
                Self::Sync => {}
            }
        }
    }

    impl Noted {
        fn on(image: Vec<u8>) -> Self {
            Self(Arc::new(Mutex::new((image, Vec::new()))))
        }

        fn note(&self, op: Op) {
            let (image, ops) = &mut *self.0.lock().unwrap();
            op.apply(image);
            ops.push(op);
        }

        fn ops(&self) -> Vec<Op> {
            self.0.lock().unwrap().1.clone()
        }
    }

    impl StorageBackend for Noted {
        fn len(&self) -> io::Result<u64> {
            Ok(self.0.lock().unwrap().0.len() as u64)
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            let at = offset as usize;
            out.copy_from_slice(&self.0.lock().unwrap().0[at..at + out.len()]);
            Ok(())
        }

        fn set_len(&self, length: u64) -> io::Result<()> {
            self.note(Op::Length(length as usize));
            Ok(())
        }

        fn sync_data(&self) -> io::Result<()> {
            self.note(Op::Sync);
            Ok(())
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.note(Op::Write(offset as usize, data.to_vec()));
            Ok(())
        }
    }

    /// What is noted of ten commits of one record each, and how many notes there were after each of them.
    fn ten_commits(durability: Durability) -> (Vec<Op>, Vec<usize>) {
        let disk = Noted::default();
        let file = disk.clone();
        let database = open_on(Backend { file, durability }).unwrap();
        let after = (0..10).map(|place: u64| {
            let save = Save {
                listener: "adt".into(),
                record: Some((place, vec![place as u8; 700])),
                below: 0,
                number: Some((1, Some(place))),
            };
            let write = database.begin_write().unwrap();
            put(&write, &[save], &HashMap::new()).unwrap();
            write.commit().unwrap();
            disk.ops().len()
        });
        let after = after.collect();
        let ops = disk.ops();
        drop(database);
        (ops, after)
    }

    /// Places and the last number of a disk that is left as it is.
    fn found(image: Vec<u8>) -> Option<(Vec<u64>, Option<u64>)> {
        let database = guarded(|| open_on(Noted::on(image))).ok()?;
        let read = database.begin_read().unwrap();
        let records = read.open_table(RECORDS).unwrap();
        let rows = records.range(("adt", 0)..).unwrap();
        let places = rows.map(|row| {
            let (key, value) = row.unwrap();
            let place = key.value().1;
            assert_eq!(value.value(), vec![place as u8; 700]);
            place
        });
        let places = places.collect();
        let numbers = read.open_table(NUMBERS).unwrap();
        let number = numbers.get(("adt", 1)).unwrap();
        Some((places, number.map(|number| number.value())))
    }

    #[test]
    fn a_commit_waits_for_the_disk_or_does_not_as_it_is_told() {
        let synced = |durability| {
            let (ops, after) = ten_commits(durability);
            let last = |after: &usize| {
                let written = ops[..*after]
                    .iter()
                    .rposition(|op| matches!(op, Op::Write(..)));
                ops[written.unwrap()..*after]
                    .iter()
                    .any(|op| matches!(op, Op::Sync))
            };
            after.iter().map(last).collect::<Vec<_>>()
        };
        assert_eq!(synced(Durability::PowerLoss), [true; 10]);
        assert_eq!(synced(Durability::Process), [false; 10]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// The power fails at any point; of what was not synced, any part may be on the disk.
        #[test]
        fn a_power_failure_costs_nothing_that_was_committed(
            cut: prop::sample::Index,
            survives: u64,
        ) {
            let (ops, after) = ten_commits(Durability::PowerLoss);
            let cut = after[0] + cut.index(ops.len() - after[0] + 1);
            let done = &ops[..cut];
            let synced = done.iter().rposition(|op| matches!(op, Op::Sync)).unwrap();
            let mut image = Vec::new();
            for (at, op) in done.iter().enumerate() {
                let lucky = survives.rotate_left(at as u32) & 1 == 1;
                // A file system keeps lengths in order.
                if at <= synced || lucky || matches!(op, Op::Length(_)) {
                    op.apply(&mut image);
                }
            }
            let committed = after.iter().filter(|after| **after <= cut).count() as u64;
            let (places, number) = found(image).expect("a file that can be opened");
            let whole: Vec<u64> = (0..places.len() as u64).collect();
            prop_assert_eq!(&places, &whole, "each is there or not, in order");
            prop_assert!(places.len() as u64 >= committed, "{} of {}", places.len(), committed);
            prop_assert_eq!(number, places.last().copied());
        }

        /// The process is killed: what was written is with the kernel.
        #[test]
        fn a_kill_costs_nothing_that_was_committed_without_a_sync(cut: prop::sample::Index) {
            let (ops, after) = ten_commits(Durability::Process);
            let cut = after[0] + cut.index(ops.len() - after[0] + 1);
            let mut image = Vec::new();
            for op in &ops[..cut] {
                op.apply(&mut image);
            }
            let committed = after.iter().filter(|after| **after <= cut).count();
            let (places, number) = found(image).expect("a file that can be opened");
            prop_assert!(places.len() >= committed, "{} of {}", places.len(), committed);
            prop_assert_eq!(number, places.last().copied());
        }
    }
}
