//! Segments: rows that a crash took are written again from frames, torn frames are none, and a segment goes with its last object.

use super::super::disk::Folder;
use super::super::disk::memory::Call;
use super::faults::{files, intact};
use super::*;

const DATABASE: [&str; 2] = ["agent.sqlite", "agent.sqlite-wal"];

/// The files of the rows as they are: what a crash leaves of them when nothing later was synced.
pub(super) fn rows_now(bench: &Bench) -> Vec<Option<Vec<u8>>> {
    let read = |name: &&str| std::fs::read(bench.folder.path().join(name)).ok();
    DATABASE.iter().map(read).collect()
}

impl Bench {
    /// The power goes: the rows are those of before, and of the disk only what was synced is there.
    pub(super) async fn power_cut(self, before: Vec<Option<Vec<u8>>>) -> Self {
        self.disk.crash(|| false);
        let folder = self.folder.path().to_owned();
        self.restart_after(move || {
            for (name, bytes) in DATABASE.iter().zip(before) {
                match bytes {
                    Some(bytes) => std::fs::write(folder.join(name), bytes).unwrap(),
                    None => drop(std::fs::remove_file(folder.join(name))),
                }
            }
            drop(std::fs::remove_file(folder.join("agent.sqlite-shm")));
        })
        .await
    }

    fn syncs(&self) -> u64 {
        self.disk.count(Call::Sync)
    }
}

pub(super) fn image(number: u32) -> What {
    What::image("1.2.3", &format!("1.2.3.{number}"))
}

#[tokio::test]
async fn rows_that_were_lost_are_written_again_as_they_were() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&image(1)).await.unwrap();
    let before = rows_now(&bench);
    let association = bench
        .spool
        .association_opened(title("PACS"), CallingKind::Modality);
    let late = What {
        priority: Priority::Urgent,
        ..image(2)
    };
    bench.receive_on(association, &late).await.unwrap();
    let other = image(1).with_bytes(b"another header");
    bench.receive_on(association, &other).await.unwrap();
    bench.receive_on(association, &image(2)).await.unwrap();
    bench.spool.association_closed(association).await;

    let bench = bench.power_cut(before).await;
    // the room of the one that came again had been given back
    assert_eq!(bench.spool.recovery().replayed, 2);
    assert_eq!(bench.spool.recovery().lost, 0);
    let expect: HashSet<_> = [image(1).bytes, late.bytes, other.bytes].into();
    assert_eq!(intact(&bench).await, expect);
    let queue = view::queue(bench.spool.rows(), bench.clock().now()).await;
    assert_eq!(queue.unwrap().corrections, 1);
    let out = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
    assert_eq!(out.len(), 2);
    assert_eq!(out[0].priority, Priority::Urgent);
    assert_eq!(bench.store(&image(2)).await.unwrap(), Stored::Same);
    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery().replayed, 0, "once is enough");
}

#[tokio::test]
async fn what_stands_behind_a_hole_is_found() {
    let bench = Bench::new().await;
    bench.store(&image(1)).await.unwrap();
    let before = rows_now(&bench);
    for number in [1, 2, 1, 3] {
        bench.store(&image(number)).await.unwrap();
    }
    let bench = bench.power_cut(before).await;
    assert_eq!(bench.spool.recovery().replayed, 2);
    let expect: HashSet<_> = [1, 2, 3].map(|number| image(number).bytes).into();
    assert_eq!(intact(&bench).await, expect);
}

#[tokio::test]
async fn the_name_of_a_study_is_synced_with_its_first_object() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    bench.store(&image(1)).await.unwrap();
    let opened = bench.spool.studies_to_open().await.unwrap().remove(0);
    let before = rows_now(&bench);
    bench.store(&image(2)).await.unwrap();
    let bench = bench.power_cut(before).await;
    let again = bench.spool.studies_to_open().await.unwrap().remove(0);
    assert_eq!(again.open.case, opened.open.case);
    assert_eq!(again.progress.at_site, 2);
}

#[tokio::test]
async fn a_frame_that_was_torn_is_none_and_what_stands_before_it_is_whole() {
    for cut in [1, 100, 4096, 4097, 4100] {
        let bench = Bench::new().await;
        let before = rows_now(&bench);
        bench.store(&image(1)).await.unwrap();
        bench.store(&image(2)).await.unwrap();
        bench.disk.damage(|data| {
            data.truncate(data.len() - 8192 + cut);
            true
        });
        let bench = bench.power_cut(before).await;
        assert_eq!(bench.spool.recovery().replayed, 1, "cut at {cut}");
        assert_eq!(intact(&bench).await, [image(1).bytes].into());
        assert_eq!(bench.store(&image(2)).await.unwrap(), Stored::New);
    }
}

#[tokio::test]
async fn a_frame_whose_bytes_were_changed_is_none() {
    let bench = Bench::new().await;
    let before = rows_now(&bench);
    bench.store(&image(1)).await.unwrap();
    bench.disk.damage(|data| {
        let at = data.windows(6).position(|it| it == b"header").unwrap();
        data[at] ^= 1;
        true
    });
    let bench = bench.power_cut(before).await;
    assert_eq!(bench.spool.recovery().replayed, 0);
    assert!(bench.disk_is_empty(), "nothing was found in it");
}

#[tokio::test]
async fn who_waits_shares_one_sync() {
    let bench = Bench::new().await;
    let association = bench
        .spool
        .association_opened(title("PACS"), CallingKind::Pacs);
    let before = bench.syncs();
    let turn = bench.spool.inner.groups.hold().await;
    let images: Vec<What> = (1..=20).map(image).collect();
    let storing = images
        .iter()
        .map(|what| bench.receive_on(association, what));
    let ((), stored) = tokio::join!(
        async {
            while bench.spool.inner.groups.count() < 20 {
                tokio::task::yield_now().await;
            }
            drop(turn);
        },
        futures::future::join_all(storing)
    );
    assert!(stored.iter().all(Result::is_ok));
    assert_eq!(bench.syncs() - before, 1);
    bench.spool.association_closed(association).await;
    assert_eq!(intact(&bench).await.len(), 20);
}

#[tokio::test]
async fn a_segment_goes_with_its_last_object_and_gives_room_back_before() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    for number in 1..=3 {
        bench.store(&image(number)).await.unwrap();
    }
    let bench = bench.restart().await;
    bench.greet(1, 0).await;
    let out = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
    bench.spool.remove_bytes(&out[0].source.handle).await;
    let gone = bench
        .spool
        .read(&out[0].source.handle, 0, 99)
        .await
        .unwrap();
    assert!(gone.iter().all(|byte| *byte == 0), "its room is given back");
    let kept = bench
        .spool
        .read(&out[1].source.handle, 0, 99)
        .await
        .unwrap();
    assert_eq!(kept, image(2).bytes);
    assert_eq!(files(&bench, Folder::Packed), 1);
    for one in &out[1..] {
        bench.spool.remove_bytes(&one.source.handle).await;
    }
    assert_eq!(files(&bench, Folder::Packed), 0);
}

#[tokio::test]
async fn a_full_segment_is_followed_by_another() {
    let bench = Bench::new().await;
    let association = bench
        .spool
        .association_opened(title("PACS"), CallingKind::Pacs);
    for number in 1..=70 {
        let what = image(number).with_bytes(&vec![number.to_le_bytes()[0]; 1 << 20]);
        bench.receive_on(association, &what).await.unwrap();
    }
    bench.spool.association_closed(association).await;
    assert_eq!(files(&bench, Folder::Packed), 2);
    assert_eq!(files(&bench, Folder::Kept), 0);
    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery(), &Recovery::default());
    assert_eq!(intact(&bench).await.len(), 70);
}

/// Without inline digests, as at a site that lets no identity leave: a correction and a conflict are known all the same, before and
/// after the bytes of the first have gone.
#[tokio::test]
async fn digests_that_nobody_needed_are_there_when_they_are() {
    let bench = Bench::strict(Config::default()).await;
    bench.store(&image(1)).await.unwrap();
    assert_eq!(bench.store(&image(1)).await.unwrap(), Stored::Same);
    let other = image(1).with_bytes(b"another header");
    assert_eq!(bench.store(&other).await.unwrap(), Stored::Correction);
    let other = What {
        pixels: Some(b"others"),
        ..image(1).with_bytes(b"other pixels")
    };
    assert_eq!(bench.store(&other).await.unwrap(), Stored::Conflict);
    assert_eq!(bench.store(&other).await.unwrap(), Stored::Conflict);
    let named: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM instance WHERE source_digest IS NULL")
            .fetch_one(bench.spool.rows().read())
            .await
            .unwrap();
    assert_eq!(named, 0);
}
