//! PostgreSQL for tests: one temporary cluster for each test process, a database for each test, and nothing left behind.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::Executor as _;

use super::{Config, Rows};

/// Makes a cluster in a folder of its own, prints the folder when it is ready, and takes both away when its input ends: that
/// is, when the test process ends, however it ends. PostgreSQL refuses to run as root, so that root hands it to `postgres`.
const CLUSTER: &str = r#"
set -eu
for bin in /usr/lib/postgresql/*/bin; do PATH="$PATH:$bin"; done
command -v initdb >/dev/null && command -v pg_ctl >/dev/null || { echo "none"; exit 0; }
run() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; else "$@"; fi; }
folder=$(mktemp -d "${TMPDIR:-/tmp}/cw-pg.XXXXXX")
cd "$folder"
trap 'run pg_ctl -D "$folder/data" stop -m immediate >/dev/null 2>&1 || true; cd /; rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM HUP
if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; fi
run initdb -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >/dev/null
run pg_ctl -D "$folder/data" -w -t 60 -l "$folder/log" -o "-k $folder -c listen_addresses= -c fsync=off -c max_connections=500 -c shared_buffers=32MB" start </dev/null >/dev/null
echo "$folder"
read -r _ || true
"#;

struct Cluster {
    folder: String,
    _child: Child,
    _open_while_we_live: Option<ChildStdin>,
}

fn cluster() -> Option<&'static Cluster> {
    static CELL: OnceLock<Option<Cluster>> = OnceLock::new();
    CELL.get_or_init(start).as_ref()
}

#[expect(
    clippy::zombie_processes,
    reason = "it ends when this process has ended"
)]
fn start() -> Option<Cluster> {
    let mut child = Command::new("sh")
        .args(["-c", CLUSTER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let folder = line.trim().to_owned();
    assert!(
        !folder.is_empty(),
        "the temporary PostgreSQL cluster did not start"
    );
    if folder == "none" {
        eprintln!("SKIPPED: no PostgreSQL server binaries; only SQLite was tried");
        assert!(option_env!("CI").is_none(), "CI must have PostgreSQL");
        return None;
    }
    let stdin = child.stdin.take();
    Some(Cluster {
        folder,
        _child: child,
        _open_while_we_live: stdin,
    })
}

/// Rows on PostgreSQL in a database of the test's own, with a data folder that goes with the test. None, said loudly, where
/// there is no PostgreSQL.
pub(crate) async fn on_postgres() -> Option<(tempfile::TempDir, Rows)> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let cluster = cluster()?;
    let url = |database: &str| {
        let host = cluster.folder.replace('/', "%2F");
        format!("postgres://postgres@localhost/{database}?host={host}")
    };
    sqlx::any::install_default_drivers();
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let pool = sqlx::AnyPool::connect(&url("postgres")).await.unwrap();
    let create = format!("CREATE DATABASE {name}");
    pool.execute(sqlx::AssertSqlSafe(create)).await.unwrap();
    pool.close().await;
    let config = Config {
        postgres_url: Some(url(&name)),
        ..Config::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let rows = Rows::open(&config, folder.path()).await.unwrap();
    Some((folder, rows))
}

/// Rows on each database that there is: every test of statements runs on both.
pub(crate) async fn on_both() -> Vec<(tempfile::TempDir, Rows)> {
    let mut all = vec![super::tests::on_sqlite().await];
    all.extend(on_postgres().await);
    all
}
