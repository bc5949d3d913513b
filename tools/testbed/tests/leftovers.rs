//! Nothing is left behind: not after a drop, not after a panic, not after the test process was
//! killed, at whatever moment.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use idem_testbed::{Postgres, Redis, RedisBinary, postgres::PostgresPrograms, skip_or_fail};
use rustix::process::{Pid, Signal, kill_process};

/// How long the watchers may take, on the slowest machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// A temporary folder of its own for the process that is going to be killed, so that what it leaves
/// is told from what tests leave that run beside this one.
struct Ground(tempfile::TempDir);

impl Ground {
    fn prepare() -> Self {
        let ground = tempfile::tempdir().expect("there is a temporary folder");
        // Postgres is another user, who must be able to enter.
        fs::set_permissions(ground.path(), fs::Permissions::from_mode(0o755))
            .expect("this folder is ours");
        Self(ground)
    }

    fn hold(&self, kinds: &[&str]) -> Child {
        // Whoever runs tests in the background may have them ignore an interrupt, and a program
        // inherits that.
        Command::new("env")
            .args(["--default-signal=INT,TERM"])
            .arg(env!("CARGO_BIN_EXE_hold-servers"))
            .args(kinds)
            .env("TMPDIR", self.0.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program was built with this test")
    }

    /// The folders of servers that are still there.
    fn folders(&self) -> usize {
        let entries = fs::read_dir(self.0.path()).expect("this folder is ours");
        entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| !name.starts_with("idem-testbed-ports"))
            .count()
    }

    fn processes(&self) -> usize {
        let processes = fs::read_dir("/proc").expect("this is Linux");
        processes
            .filter_map(|process| fs::read_link(process.ok()?.path().join("cwd")).ok())
            .filter(|place| place.starts_with(self.0.path()))
            .count()
    }

    /// The shared memory of the Postgres servers that run.
    fn segments(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("this folder is ours");
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|folder| folder.join("data").is_dir())
            .map(|folder| segment(&folder))
            .collect()
    }

    fn wait_until_bare(&self) {
        let since = Instant::now();
        while self.folders() + self.processes() > 0 {
            let (folders, processes) = (self.folders(), self.processes());
            assert!(
                since.elapsed() < DEADLINE,
                "{folders} folders and {processes} processes are left"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn wait_until_ready(holder: &mut Child) {
    let out = holder.stdout.take().expect("it is piped");
    let ready = BufReader::new(out)
        .lines()
        .map_while(Result::ok)
        .any(|line| line.starts_with("ready"));
    assert!(ready, "the servers did not start");
}

fn end(mut holder: Child, signal: Signal) {
    kill_process(Pid::from_child(&holder), signal).expect("it is ours and was not waited for");
    holder.wait().expect("it was not waited for");
}

fn servers_are_installed() -> bool {
    skip_or_fail(RedisBinary::find()).is_some() && skip_or_fail(PostgresPrograms::find()).is_some()
}

fn exists(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

#[test]
fn a_killed_test_process_leaves_nothing() {
    if !servers_are_installed() {
        return;
    }
    for signal in [Signal::KILL, Signal::TERM, Signal::INT] {
        let ground = Ground::prepare();
        let mut holder = ground.hold(&["redis", "postgres", "standby"]);
        wait_until_ready(&mut holder);
        assert_eq!(ground.folders(), 4);
        assert!(ground.processes() > 4, "Postgres is several processes");
        let segments = ground.segments();
        assert_eq!(segments.len(), 3);
        assert!(segments.iter().all(|id| in_use(id)), "{segments:?}");
        end(holder, signal);
        ground.wait_until_bare();
        assert!(!segments.iter().any(|id| in_use(id)), "{segments:?}");
    }
}

#[test]
fn deployments_of_a_killed_test_process_leave_nothing() {
    if !servers_are_installed() {
        return;
    }
    let ground = Ground::prepare();
    let mut holder = ground.hold(&["sentinel", "cluster"]);
    wait_until_ready(&mut holder);
    assert_eq!((ground.folders(), ground.processes()), (12, 12));
    end(holder, Signal::KILL);
    ground.wait_until_bare();
}

#[test]
fn a_test_process_killed_while_servers_start_leaves_nothing() {
    if !servers_are_installed() {
        return;
    }
    for moment in 0..20 {
        let ground = Ground::prepare();
        let holder = ground.hold(&["redis", "postgres"]);
        thread::sleep(Duration::from_millis(moment * 40));
        end(holder, Signal::KILL);
        ground.wait_until_bare();
    }
}

#[test]
fn a_panic_leaves_nothing() {
    if !servers_are_installed() {
        return;
    }
    let redis = Redis::start_blocking().unwrap();
    let postgres = Postgres::start_blocking().unwrap();
    let folders = [redis.folder(), postgres.folder()];
    let processes = [redis.process_id().unwrap(), postgres.process_id().unwrap()];
    assert!(folders.iter().all(|folder| folder.is_dir()));
    assert!(processes.into_iter().all(exists));

    let panicked = thread::spawn(move || {
        let _held = (redis, postgres);
        panic!("this panic is part of the test");
    });
    panicked.join().unwrap_err();
    assert!(!folders.iter().any(|folder| folder.exists()));
    assert!(!processes.into_iter().any(exists));
}

#[test]
fn the_last_handle_takes_a_paused_server_with_it() {
    let Some(redis) = skip_or_fail(Redis::start_blocking()) else {
        return;
    };
    let (folder, process) = (redis.folder(), redis.process_id().unwrap());
    let other = redis.clone();
    redis.pause();
    drop(redis);
    assert!(other.is_running());
    drop(other);
    assert!(!folder.exists());
    assert!(!exists(process));
}

#[test]
fn servers_leave_no_shared_memory() {
    let Some(killed) = skip_or_fail(Postgres::start_blocking()) else {
        return;
    };
    let paused = Postgres::start_blocking().unwrap();
    let segments = [&killed, &paused].map(|postgres| segment(&postgres.folder()));
    assert!(segments.iter().all(|id| in_use(id)), "{segments:?}");
    let memory = fs::read_to_string(format!("/proc/{}/maps", killed.process_id().unwrap()));
    assert!(
        !memory.unwrap().contains("/dev/shm/"),
        "what has a name lies in the folder"
    );
    killed.kill();
    paused.pause();
    drop((killed, paused));
    assert!(!segments.iter().any(|id| in_use(id)), "{segments:?}");
}

/// The number of the System V segment of the server in `folder`, from its lock file.
fn segment(folder: &Path) -> String {
    let lock = folder.join("data/postmaster.pid");
    let lock = fs::read_to_string(lock).expect("a server that runs has one");
    let line = lock
        .lines()
        .nth(6)
        .expect("the segment is on its seventh line");
    let id = line.split_whitespace().nth(1);
    id.expect("the number is behind the key").to_owned()
}

fn in_use(segment: &str) -> bool {
    let table = fs::read_to_string("/proc/sysvipc/shm").expect("this is Linux");
    table
        .lines()
        .any(|line| line.split_whitespace().nth(1) == Some(segment))
}
