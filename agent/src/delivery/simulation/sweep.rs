//! Many seeds, on every core.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{available_parallelism, scope};

use tokio::runtime::Builder;

use super::run;

/// How often what has happened.
pub(super) type Counts = BTreeMap<&'static str, u64>;

/// Runs the seeds from 0 on; answers how many there were and what has happened in them. Panics with every seed that breaks a promise,
/// and the story of the first.
pub(super) fn sweep(usual: u64) -> (u64, Counts) {
    let wanted = std::env::var_os("CAUSEWAY_SEEDS");
    let seeds = wanted.map_or(usual, |text| text.to_str().unwrap().parse().unwrap());
    let next = AtomicU64::new(0);
    let found: Mutex<(Counts, BTreeMap<u64, anyhow::Error>)> = Mutex::default();
    let work = || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            let one = || runtime.block_on(run(seed));
            let ended = catch_unwind(AssertUnwindSafe(one))
                .unwrap_or_else(|_| Err(anyhow::anyhow!("it has panicked, see above")));
            let mut found = found.lock().unwrap();
            match ended {
                Ok(counts) => {
                    for (word, count) in counts {
                        *found.0.entry(word).or_insert(0) += count;
                    }
                }
                Err(broken) => drop(found.1.insert(seed, broken)),
            }
        }
    };
    scope(|threads| {
        let many = available_parallelism().map_or(1, usize::from);
        let all: Vec<_> = (0..many).map(|_| threads.spawn(work)).collect();
        for one in all {
            one.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
    let (counts, broken) = found.into_inner().unwrap();
    let causes = broken.iter();
    let causes = causes.map(|(seed, broken)| format!("seed {seed}: {}", broken.root_cause()));
    let causes: Vec<String> = causes.collect();
    if let Some((seed, first)) = broken.first_key_value() {
        let all = causes.join("\n");
        panic!(
            "seed {seed}: {first:#}\n\n{} of {seeds} seeds:\n{all}",
            causes.len()
        );
    }
    (seeds, counts)
}
