//! What a process holds, by proc(5), and whether that grows: one line through the figures of all its lives, by least squares.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::stack::process::Running;

/// What a process holds at a time.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Resident memory, in MiB (VmRSS).
    pub mebibytes: f64,
    /// Open files.
    pub files: f64,
}

impl Sample {
    /// Of a process that runs.
    ///
    /// # Errors
    /// When it has ended.
    pub fn of(process: &Running) -> anyhow::Result<Self> {
        let folder = PathBuf::from(format!("/proc/{}", process.pid().context("it has ended")?));
        let status = std::fs::read_to_string(folder.join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.context("no VmRSS")?.trim().trim_end_matches(" kB");
        let files = std::fs::read_dir(folder.join("fd"))?.count();
        Ok(Self {
            mebibytes: kib.parse::<f64>()? / 1024.0,
            files: f64::from(u32::try_from(files)?),
        })
    }
}

/// How steep a line through figures is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// What is added in an hour.
    pub per_hour: f64,
    /// Its standard error, as if no figure knew of the one before.
    pub error: f64,
    /// The mean of the figures.
    pub mean: f64,
    /// How many there are.
    pub figures: u32,
}

/// The line through the figures (seconds, value) of several lives: each life begins where it begins, all rise alike. None of fewer than
/// three figures, or of figures at one time.
#[must_use]
pub fn slope(lives: &[Vec<(f64, f64)>]) -> Option<Slope> {
    let (mut figures, mut sum, mut across, mut along, mut up) = (0_u32, 0.0, 0.0, 0.0, 0.0);
    for life in lives.iter().filter(|life| !life.is_empty()) {
        let count = u32::try_from(life.len()).ok()?;
        let mean =
            |pick: fn(&(f64, f64)) -> f64| life.iter().map(pick).sum::<f64>() / f64::from(count);
        let (middle, level) = (mean(|it| it.0), mean(|it| it.1));
        for (at, value) in life {
            let (at, value) = (at - middle, value - level);
            across += at * at;
            along += at * value;
            up += value * value;
        }
        figures += count;
        sum += level * f64::from(count);
    }
    // what the line and the level of each life take
    let taken = u32::try_from(lives.len()).ok()? + 1;
    if across <= 0.0 || figures <= taken {
        return None;
    }
    let steep = along / across;
    let rest = (up - steep * along).max(0.0) / f64::from(figures - taken);
    Some(Slope {
        per_hour: steep * 3600.0,
        error: (rest / across).sqrt() * 3600.0,
        mean: sum / f64::from(figures),
        figures,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_through_lives_that_begin_at_different_levels() {
        let life = |from: u32, level: f64| -> Vec<_> {
            let at = (from..from + 60).map(f64::from);
            at.map(|at| (at, level + (at - f64::from(from)) / 3600.0 * 5.0))
                .collect()
        };
        let found = slope(&[life(0, 100.0), life(100, 40.0), life(900, 70.0)]).unwrap();
        assert!((found.per_hour - 5.0).abs() < 1e-6, "{found:?}");
        assert!(found.error < 1e-6, "{found:?}");
        assert_eq!(found.figures, 180);
    }

    #[test]
    fn what_goes_up_and_down_alike_has_no_slope_but_an_error() {
        let life = (0..1000_u32).map(|at| (f64::from(at), 50.0 + f64::from(at % 2)));
        let found = slope(&[life.collect()]).unwrap();
        assert!(found.per_hour.abs() < 2.0 * found.error, "{found:?}");
        assert!(found.error > 0.0);
        assert_eq!(slope(&[vec![(1.0, 1.0), (1.0, 2.0)]]), None);
    }
}
