//! Segments while they are written: what fails leaves nothing behind, and what a writer has in hand stays.

use std::sync::PoisonError;

use super::super::disk::memory::Call;
use super::super::disk::{Appending, Disk, Folder, Found, Left, Seam};
use super::faults::{files, intact};
use super::segments::image;
use super::*;

#[tokio::test]
async fn a_segment_of_which_nothing_was_acknowledged_goes_when_writing_it_fails() {
    for call in [Call::Append, Call::Sync] {
        let bench = Bench::new().await;
        bench.disk.fail(call, 1);
        bench.store(&image(1)).await.unwrap_err();
        assert_eq!(files(&bench, Folder::Packed), 0, "{call:?}");
        bench.store(&image(1)).await.unwrap();
        bench.disk.fail(call, 1);
        bench.store(&image(2)).await.unwrap_err();
        assert_eq!(files(&bench, Folder::Packed), 1, "{call:?}");
        assert_eq!(intact(&bench).await, [image(1).bytes].into(), "{call:?}");
        bench.disk.damage(|data| {
            let left = data.windows(20).any(|it| it == &image(2).bytes[..20]);
            assert!(!left, "{call:?}: room that nobody needs");
            true
        });
    }
}

type Meanwhile = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// A disk on which something else happens, once, while a frame is written.
#[derive(Clone)]
struct Busy {
    disk: MemoryDisk,
    meanwhile: Meanwhile,
}

impl std::fmt::Debug for Busy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Busy")
    }
}

#[derive(Debug)]
struct BusyFile(Box<dyn Appending>, Busy);

impl Appending for BusyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut meanwhile = self
            .1
            .meanwhile
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(happens) = meanwhile.take() {
            happens();
        }
        self.0.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

impl Seam for Busy {
    fn open(&self, folder: Folder, name: &str) -> io::Result<Box<dyn Appending>> {
        let file = self.disk.open(folder, name)?;
        Ok(Box::new(BusyFile(file, self.clone())))
    }

    fn rename(&self, name: &str, to: &str, from: Folder, into: Folder) -> io::Result<()> {
        self.disk.rename(name, to, from, into)
    }

    fn sync_dir(&self, folder: Folder) -> io::Result<()> {
        self.disk.sync_dir(folder)
    }

    fn remove(&self, folder: Folder, name: &str) -> io::Result<()> {
        self.disk.remove(folder, name)
    }

    fn shorten(&self, folder: Folder, name: &str, length: u64) -> io::Result<()> {
        self.disk.shorten(folder, name, length)
    }

    fn punch(&self, folder: Folder, name: &str, offset: u64, length: u64) -> io::Result<()> {
        self.disk.punch(folder, name, offset, length)
    }

    fn list(&self, folder: Folder) -> io::Result<Vec<Found>> {
        self.disk.list(folder)
    }

    fn read(&self, folder: Folder, name: &str, offset: u64, max: usize) -> io::Result<Vec<u8>> {
        self.disk.read(folder, name, offset, max)
    }

    fn left(&self) -> io::Result<Left> {
        self.disk.left()
    }
}

fn keep(disk: &Disk, content: &[u8]) -> io::Result<Handle> {
    let mut block = disk.block();
    block.push(content);
    assert!(block.seal(b""));
    let placed = disk.place(&[&block]);
    disk.write(&placed, &mut [block])?;
    Ok(placed.handles[0].clone())
}

/// The last object of a segment is removed while the next one is being written into it.
#[test]
fn a_segment_in_a_writers_hand_stays() {
    for fails in [false, true] {
        let busy = Busy {
            disk: MemoryDisk::default(),
            meanwhile: Arc::default(),
        };
        let disk = Disk::new(Arc::new(busy.clone()), seeded(7));
        let first = keep(&disk, b"first").unwrap();
        let remover = disk.clone();
        *busy.meanwhile.lock().unwrap() = Some(Box::new(move || remover.remove(&first).unwrap()));
        if fails {
            busy.disk.fail(Call::Sync, 1);
        }
        let second = keep(&disk, b"second");
        assert_eq!(second.is_err(), fails);
        if let Ok(second) = second {
            assert_eq!(disk.read(&second, 0, 99).unwrap(), b"second"[..]);
            disk.sweep().unwrap();
            assert_eq!(disk.read(&second, 0, 99).unwrap(), b"second"[..]);
        } else {
            assert_eq!(disk.segments().unwrap(), [], "nothing in it is needed");
        }
        keep(&disk, b"third").unwrap();
    }
}
