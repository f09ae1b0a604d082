//! How much processor time a process and its children have used, by `/proc` (Linux), and what machine this is.

use std::fs;

use anyhow::{Context as _, anyhow};

/// Ticks of a second in `/proc/PID/stat`: fixed by the interface to programs on Linux.
const TICKS: f64 = 100.0;

/// Processor time of a process with those it started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Seconds of processor time, of children that have ended too.
    pub(crate) cpu_s: f64,
}

impl Usage {
    /// Of the process and all below it.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let mut all = Self::default();
        let mut open = vec![pid];
        let mut first = true;
        while let Some(pid) = open.pop() {
            match one(pid) {
                Ok((usage, children)) => {
                    all.cpu_s += usage.cpu_s;
                    open.extend(children);
                }
                Err(error) if first => return Err(error),
                // a child that has ended since counts in its parent
                Err(_) => {}
            }
            first = false;
        }
        Ok(all)
    }

    /// Of those threads of a process that bear this name.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn of_threads(pid: u32, name: &str) -> anyhow::Result<Self> {
        let mut all = Self::default();
        for task in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
            if read("comm").trim() == name
                && let Some((_, fields)) = read("stat").rsplit_once(')')
            {
                let ticks = fields.split_whitespace().skip(11).take(2);
                all.cpu_s += ticks.filter_map(|it| it.parse::<f64>().ok()).sum::<f64>() / TICKS;
            }
        }
        Ok(all)
    }

    /// Processor time since `before`.
    pub(crate) fn since(self, before: Self) -> f64 {
        self.cpu_s - before.cpu_s
    }
}

fn one(pid: u32) -> anyhow::Result<(Usage, Vec<u32>)> {
    let read = |name: &str| {
        fs::read_to_string(format!("/proc/{pid}/{name}"))
            .with_context(|| format!("reading {name} of process {pid}"))
    };
    let stat = read("stat")?;
    let (_, fields) = stat
        .rsplit_once(')')
        .ok_or_else(|| anyhow!("no name in stat"))?;
    // utime, stime, cutime, cstime: fields 14 to 17 of proc(5), the third is the first after the name
    let ticks = fields.split_whitespace().skip(11).take(4);
    let ticks: f64 = ticks.filter_map(|field| field.parse::<f64>().ok()).sum();
    let mut children = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        let named = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.extend(
            named
                .split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
    }
    let usage = Usage {
        cpu_s: ticks / TICKS,
    };
    Ok((usage, children))
}

/// Processor, memory, kernel, and how busy it all was: figures mean nothing without.
pub(super) fn machine() -> String {
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = file("/proc/cpuinfo");
    let named = |line: &&str| line.starts_with("model name");
    let model = cpus
        .lines()
        .find(named)
        .and_then(|line| line.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    let cores = cpus.lines().filter(named).count();
    let memory = file("/proc/meminfo")
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<f64>().ok())
        .unwrap_or_default();
    let load = file("/proc/loadavg");
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    format!(
        "Machine: {cores} x {model}, {:.0} GiB, Linux {}; load at the start {load}.",
        memory / 1_048_576.0,
        file("/proc/sys/kernel/osrelease").trim()
    )
}
