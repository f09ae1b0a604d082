//! Bytes that rot between receiving and sending: found wherever a digest is made of them, and healed by what comes again.

use super::super::disk::Seam;
use super::super::disk::memory::Call;
use super::faults::{files, intact};
use super::segments::image;
use super::*;

/// One object that goes into a segment, and one that gets a file of its own.
fn both() -> [What; 2] {
    let bytes: Vec<u8> = (0..2_300_000_u32).map(|n| (n % 251) as u8).collect();
    [image(1), image(1).with_bytes(&bytes)]
}

impl Bench {
    /// Changes one bit of what is kept, in the middle of these bytes.
    pub(crate) fn rot(&self, bytes: &[u8]) {
        let found = std::sync::atomic::AtomicBool::new(false);
        let part = &bytes[bytes.len() / 2..][..bytes.len().min(16) / 2];
        self.disk.damage(|data| {
            if let Some(at) = data.windows(part.len()).position(|there| there == part) {
                data[at] ^= 0x10;
                found.store(true, Ordering::Relaxed);
            }
            true
        });
        assert!(found.into_inner(), "these bytes are not kept");
    }
}

async fn only(bench: &Bench) -> (Handle, u64) {
    let (handle, length): (String, i64) = sqlx::query_as("SELECT handle, length FROM instance")
        .fetch_one(bench.spool.rows().read())
        .await
        .unwrap();
    (Handle::from_row(handle), from_row(length))
}

fn from_row(length: i64) -> u64 {
    length.try_into().unwrap()
}

async fn lost(bench: &Bench) -> u64 {
    let queue = view::queue(bench.spool.rows(), bench.clock().now()).await;
    queue.unwrap().lost
}

/// Of a short object, of the head before it, and of a long one.
#[tokio::test]
async fn no_bit_of_what_is_kept_changes_unseen() {
    for what in both() {
        let bench = Bench::strict(Config::default()).await;
        bench.store(&what).await.unwrap();
        let (handle, length) = only(&bench).await;
        let whole = || bench.spool.inner.disk.checked(&handle, length)?.end();
        whole().unwrap();
        let places: Vec<usize> = match what.bytes.len() {
            0..1_000_000 => (0..300).chain(4096..4096 + what.bytes.len()).collect(),
            long => (0..long).step_by(11_003).collect(),
        };
        for at in places {
            let flip = |data: &mut Vec<u8>| {
                data[at] ^= 1 << (at % 8);
                true
            };
            bench.disk.damage(flip);
            let rotten = whole().is_err_and(|error| is_rotten(&error));
            assert!(rotten, "at {at} of {} bytes", what.bytes.len());
            bench.disk.damage(flip);
        }
        whole().unwrap();
    }
}

/// Read in whatever order: what is given out is what is there, and what was passed over is compared too.
#[tokio::test]
async fn a_walk_through_kept_bytes_compares_all_of_them() {
    use std::io::{Read, Seek, SeekFrom};
    for what in both() {
        let bench = Bench::strict(Config::default()).await;
        bench.store(&what).await.unwrap();
        let (handle, length) = only(&bench).await;
        for spoiled in [false, true] {
            if spoiled && what.bytes.len() > 1 << 20 {
                bench.rot(&what.bytes);
            }
            let chance = seeded(5);
            let mut checked = bench.spool.inner.disk.checked(&handle, length).unwrap();
            for _ in 0..60 {
                let at = chance.below(length);
                let most = chance.below(700_000).min(length - at);
                let mut out = vec![0; usize::try_from(most).unwrap()];
                checked.seek(SeekFrom::Start(at)).unwrap();
                checked.read_exact(&mut out).unwrap();
                let at = usize::try_from(at).unwrap();
                assert!(spoiled || out == what.bytes[at..][..out.len()]);
            }
            let rotten = checked.end().is_err_and(|error| is_rotten(&error));
            assert_eq!(rotten, spoiled && what.bytes.len() > 1 << 20);
        }
    }
}

/// Of what leaves as it was received the gateway finds out; the agent looks who is to blame.
#[tokio::test]
async fn what_the_gateway_finds_changed_is_lost_and_healed_by_what_comes_again() {
    for what in both() {
        let bench = Bench::new().await;
        bench.greet(1, 0).await;
        bench.store(&what).await.unwrap();
        let out = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
        let refusal = |out: &Outgoing| Refused {
            agreement: out.key.agreement.clone(),
            study: out.study.clone(),
            key: Some(out.key.clone()),
            code: 0x08,
            sentence: "other bytes".to_owned(),
            retry_after_ms: Some(0),
        };
        bench.spool.refused(&refusal(&out[0])).await.unwrap();
        assert_eq!(
            lost(&bench).await,
            0,
            "the bytes are sound: the line was it"
        );
        bench.rot(&what.bytes);
        bench.spool.refused(&refusal(&out[0])).await.unwrap();
        assert_eq!(lost(&bench).await, 1);
        let none = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
        assert!(none.is_empty());
        let held = view::held(bench.spool.rows()).await.unwrap();
        assert!(held[0].why.contains("damaged"), "{held:?}");
        assert_eq!(bench.store(&what).await.unwrap(), Stored::Same);
        assert_eq!(lost(&bench).await, 0);
        let again = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
        assert_eq!(again[0].sent, out[0].sent);
        assert_eq!(intact(&bench).await, [what.bytes].into());
    }
}

/// A digest that is needed when the object comes again is not made of rotten bytes.
#[tokio::test]
async fn rotten_bytes_are_replaced_by_what_comes_again() {
    for what in both() {
        let bench = Bench::strict(Config::default()).await;
        bench.store(&what).await.unwrap();
        bench.rot(&what.bytes);
        assert_eq!(bench.store(&what).await.unwrap(), Stored::Same);
        assert_eq!(intact(&bench).await, [what.bytes].into());
        let aside: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM aside")
            .fetch_one(bench.spool.rows().read())
            .await
            .unwrap();
        assert_eq!(aside, 0, "a conflict that is none");
    }
}

/// What is found of bytes in whose place others have come meanwhile says nothing about these.
#[tokio::test]
async fn what_was_read_of_bytes_that_are_replaced_costs_nothing() {
    for what in both() {
        let bench = Bench::new().await;
        bench.greet(1, 0).await;
        // the segment stays when its first object goes
        bench.store(&what).await.unwrap();
        bench.store(&image(2)).await.unwrap();
        let out = bench.spool.next_to_send(9, &HashSet::new()).await.unwrap();
        let of = out
            .iter()
            .find(|it| it.source.length == what.bytes.len() as u64);
        let (key, at) = of.map(|it| (&it.key, &it.source.handle)).unwrap();
        bench.rot(&what.bytes);
        bench.spool.unreadable(key, at).await.unwrap();
        assert_eq!(lost(&bench).await, 1);
        assert_eq!(bench.store(&what).await.unwrap(), Stored::Same);
        assert_eq!(lost(&bench).await, 0);
        bench.spool.unreadable(key, at).await.unwrap();
        assert_eq!(lost(&bench).await, 0, "it was the bytes before these");
        assert_eq!(intact(&bench).await.len(), 2);
    }
}

/// The same where digests are made of many objects at once: rows are read first, then bytes, and then the rows are written.
#[tokio::test]
async fn digests_of_bytes_that_are_replaced_cost_nothing() {
    let what = image(1);
    let bench = Bench::strict(Config::default()).await;
    bench.store(&what).await.unwrap();
    bench.store(&image(2)).await.unwrap();
    let rows = digests::lacking(&bench.spool, &what.instance).await;
    let before: String = rows.as_ref().unwrap()[0].try_get(1).unwrap();
    bench.rot(&what.bytes);
    assert_eq!(bench.store(&what).await.unwrap(), Stored::Same);
    assert_eq!(lost(&bench).await, 0);
    let old = bench
        .spool
        .inner
        .disk
        .checked(&Handle::from_row(before), what.bytes.len() as u64);
    assert!(old.is_err_and(|error| is_rotten(&error)));
    digests::keep_all(&bench.spool, rows).await.unwrap();
    assert_eq!(lost(&bench).await, 0, "it was the bytes before these");
}

/// Names of a spool that an earlier version wrote say no checksum: their objects are there, and go as they did.
#[tokio::test]
async fn a_spool_of_an_earlier_version_is_taken_over() {
    let [_, long] = both();
    let bench = Bench::strict(Config::default()).await;
    bench.store(&long).await.unwrap();
    let (handle, length) = only(&bench).await;
    let (old, checksum) = handle.as_row().rsplit_once('.').unwrap();
    assert_eq!(checksum.len(), 8);
    let kept = disk::Folder::Kept;
    bench.disk.rename(handle.as_row(), old, kept, kept).unwrap();
    bench.disk.sync_dir(kept).unwrap();
    let mut tx = bench.spool.rows().begin().await.unwrap();
    sqlx::query("UPDATE instance SET handle = $1")
        .bind(old)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let bench = bench.restart().await;
    assert_eq!(bench.spool.recovery(), &Recovery::default());
    let syntax = long.syntax.parse().unwrap();
    let of = |handle: &Handle| bench.spool.inner.disk.digest_of(handle, length, &syntax);
    let mut hasher = ContentHasher::new(&syntax);
    hasher.update(&long.bytes);
    let digest = hasher.finish();
    assert_eq!(of(&Handle::from_row(old.to_owned())).unwrap(), digest);
    // what comes again is known for the same
    assert_eq!(bench.store(&long).await.unwrap(), Stored::Same);
    assert_eq!(files(&bench, kept), 1);
    assert_eq!(intact(&bench).await, [long.bytes].into());
}

/// Long objects are summed as they come, in pieces: nothing of them is read for it.
#[tokio::test]
async fn receiving_reads_nothing_back() {
    for what in both() {
        let bench = Bench::strict(Config::default()).await;
        bench.store(&what).await.unwrap();
        assert_eq!(bench.disk.count(Call::Read), 0);
    }
}

/// A segment that was emptied behind the agent's back keeps its length.
#[tokio::test]
async fn a_start_finds_segments_without_their_frames() {
    for from in 0..3 {
        let bench = Bench::strict(Config::default()).await;
        for number in 1..=3 {
            bench.store(&image(number)).await.unwrap();
        }
        bench.disk.damage(|data| {
            let all = data.len() / 3;
            data[from * all..].fill(0);
            true
        });
        let bench = bench.restart().await;
        assert_eq!(bench.spool.recovery().lost, 3 - from);
        assert!(bench.spool.recovery().safe_mode());
        let again = bench.restart().await;
        assert_eq!(
            again.spool.recovery().lost,
            3 - from,
            "and finds them again"
        );
    }
}

#[tokio::test]
async fn a_start_reads_two_heads_of_a_sound_segment_and_none_of_what_has_its_receipt() {
    let bench = Bench::new().await;
    bench.greet(1, 0).await;
    for number in 1..=30 {
        bench.store(&image(number)).await.unwrap();
    }
    let before = bench.disk.count(Call::Read);
    let bench = bench.restart().await;
    // and one to see that nothing stands behind the last row
    assert_eq!(bench.disk.count(Call::Read) - before, 3);
    bench.greet(1, 0).await;
    bench.receipt_all(1, 1).await;
    let before = bench.disk.count(Call::Read);
    let bench = bench.restart().await;
    assert_eq!(bench.disk.count(Call::Read) - before, 1);
}
