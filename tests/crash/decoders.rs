//! A smoke of the fuzzer: every decoder over its seeds, as they are and changed, within a second each.

use std::time::Duration;

use causeway_tests::decoders::{DECODERS, changed};
use tokio::time::Instant;

/// Changed seeds of each decoder.
const CHANGED: u32 = 3000;

#[test]
fn no_decoder_breaks_over_changed_seeds() {
    let without = DECODERS.iter().filter(|one| (one.seeds)().is_empty());
    let without: Vec<&str> = without.map(|one| one.name).collect();
    assert!(without.is_empty(), "{without:?} have no seeds");
    for decoder in DECODERS {
        let seeds = (decoder.seeds)();
        let mut state = 1;
        let mut slowest = Duration::ZERO;
        for seed in &seeds {
            (decoder.run)(seed);
        }
        for turn in 0..CHANGED {
            let seed = &seeds[usize::try_from(turn).unwrap() % seeds.len()];
            let bytes = changed(seed, &mut state);
            let begun = Instant::now();
            let ran = std::panic::catch_unwind(|| (decoder.run)(&bytes));
            slowest = slowest.max(begun.elapsed());
            assert!(ran.is_ok(), "{} breaks over {:02x?}", decoder.name, bytes);
        }
        println!(
            "{}: {} seeds, {CHANGED} changed, the slowest {slowest:?}",
            decoder.name,
            seeds.len()
        );
    }
}
