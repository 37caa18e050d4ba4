//! A private PostgreSQL and a private pgbouncer for tests and benchmarks, from the machine's packages. They listen only on
//! sockets in a directory that no other user may enter, and end with xtask.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::failure::{Context, Failure, Result};
use crate::{program, workspace};

/// Name the maintenance database of the private PostgreSQL, directly and through pgbouncer.
pub(crate) const POSTGRES: &str = "QUASH_TEST_POSTGRES";
pub(crate) const PGBOUNCER: &str = "QUASH_TEST_PGBOUNCER";

/// The oldest major version that quash supports.
const OLDEST: u32 = 14;
/// The first version that can order texts by ICU.
const WITH_ICU: u32 = 15;
/// The role of the tests: the superuser of the private server.
const ROLE: &str = "quash";
/// The database that the variables name.
const DATABASE: &str = "postgres";
/// The numbers in the names of the sockets. No TCP port is opened.
const POSTGRES_PORT: &str = "5432";
const PGBOUNCER_PORT: &str = "6432";
/// A socket's path may have 107 bytes; this is for its file name.
const LONGEST_DIRECTORY: usize = 107 - "/.s.PGSQL.5432.lock".len();
/// The users that may own the servers where xtask is root. PostgreSQL refuses to run as root.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];
/// The programs that are started.
const PROGRAMS: [&str; 5] = ["postgres", "initdb", "pg_basebackup", "pg_isready", "createdb"];
/// Debian's folder with one folder for each major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Makes a database, starts both servers, waits for the end of its input, which xtask holds open, and stops them. So
/// they also end if xtask is killed. The signals of a terminal are left to xtask.
const SUPERVISOR: &str = r#"
bin=$1 pgbouncer=$2 port=$3
shift 3
trap '' HUP INT TERM
"$bin/initdb" --pgdata=data "$@" </dev/null >postgres.log 2>&1 || exit 1
"$bin/postgres" -D data -c listen_addresses= -c "unix_socket_directories=$PWD" -c port="$port" \
    -c max_connections=500 </dev/null >>postgres.log 2>&1 &
postgres=$!
pooler=
if [ -n "$pgbouncer" ]; then
    "$pgbouncer" pgbouncer.ini </dev/null >pgbouncer.log 2>&1 &
    pooler=$!
fi
read -r _
[ -z "$pooler" ] || kill -KILL $pooler
kill -QUIT $postgres
wait
rm -rf -- data pgbouncer.ini users.txt postgres.log pgbouncer.log .s.PGSQL.*
"#;

/// The running servers. They stop when this is dropped.
pub(crate) struct Servers {
    /// The folder with the programs: tests of fail-over start servers of their own.
    bin: PathBuf,
    directory: PathBuf,
    supervisor: Child,
    has_pgbouncer: bool,
}

/// The programs of a version.
pub(crate) struct Postgres {
    /// The folder with [`PROGRAMS`].
    bin: PathBuf,
    version: u32,
}

/// The user that runs the servers, if it isn't the user that runs xtask.
#[derive(Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

/// Returns the newest PostgreSQL on this machine that quash supports.
pub(crate) fn find() -> Option<Postgres> {
    let debian = fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = debian.chain(std::env::split_paths(&path));
    let complete = |bin: &PathBuf| PROGRAMS.iter().all(|program| bin.join(program).is_file());
    let versions = candidates.filter(complete).filter_map(|bin| {
        let text = program::output(Command::new(bin.join("postgres")).arg("--version")).ok()?;
        Some(Postgres { version: major(&text)?, bin })
    });
    versions.filter(|found| found.version >= OLDEST).max_by_key(|found| found.version)
}

/// Returns the machine's pgbouncer. Debian installs it where only root looks for programs.
pub(crate) fn pgbouncer() -> Option<PathBuf> {
    let names = ["pgbouncer", "/usr/sbin/pgbouncer"];
    let found = names.into_iter().find(|name| program::works(Command::new(name).arg("--version")))?;
    Some(PathBuf::from(found))
}

/// Returns the major version in the output of `postgres --version`.
fn major(text: &str) -> Option<u32> {
    let number = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Where a server keeps its data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    /// For tests, which write thousands of databases: no test cuts the power.
    InMemory,
    /// For figures.
    OnDisk,
}

/// A file system in memory, if the machine has it.
const MEMORY: &str = "/dev/shm";
/// The free memory that it must have, in KiB.
const ENOUGH_KIB: u64 = 4 * 1024 * 1024;

impl Postgres {
    /// Starts a new, empty server, and pgbouncer in transaction mode in front of it.
    ///
    /// # Errors
    /// A server doesn't start. The error contains the end of its log.
    pub(crate) fn start(&self, pgbouncer: Option<&Path>, data: Data) -> Result<Servers> {
        let user = unprivileged()?;
        let directory = directory(user, data)?;
        write_pgbouncer_settings(&directory)?;
        let mut supervisor = as_user(Command::new("sh"), user, &directory);
        supervisor
            .args(["-c", SUPERVISOR, "sh"])
            .args([self.bin.as_os_str(), pgbouncer.unwrap_or(Path::new("")).as_os_str()])
            .args([POSTGRES_PORT, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .arg(format!("--username={ROLE}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if self.version >= WITH_ICU {
            // Texts are ordered as in English, and not by bytes, so that tests notice a column or a comparison whose
            // order depends on the server.
            supervisor.args(["--locale-provider=icu", "--icu-locale=en-US"]);
        }
        let supervisor = supervisor.spawn().context("couldn't start `sh`")?;
        let has_pgbouncer = pgbouncer.is_some();
        let mut servers = Servers { bin: self.bin.clone(), directory, supervisor, has_pgbouncer };
        self.wait_for(&mut servers, POSTGRES_PORT, "postgres.log")?;
        if servers.has_pgbouncer {
            self.wait_for(&mut servers, PGBOUNCER_PORT, "pgbouncer.log")?;
        }
        Ok(servers)
    }

    fn wait_for(&self, servers: &mut Servers, port: &str, log: &str) -> Result<()> {
        for _ in 0..600 {
            let mut ask = Command::new(self.bin.join("pg_isready"));
            ask.args(["--quiet", "--port", port, "--username", ROLE, "--dbname", DATABASE]);
            if program::works(ask.arg("--host").arg(&servers.directory)) {
                return Ok(());
            }
            if !matches!(servers.supervisor.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let text = fs::read_to_string(servers.directory.join(log)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(20)..].join("\n");
        Err(Failure::new(format!("a private server for the tests didn't start; {log} ends with:\n{end}")))
    }

    /// Returns the major version.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }
}

impl Servers {
    /// Returns the variables for the tests: the addresses of the maintenance database, directly and through
    /// pgbouncer. The role may create databases; pgbouncer forwards to any of them.
    pub(crate) fn variables(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![
            (POSTGRES, self.url(POSTGRES_PORT, DATABASE).into()),
            ("QUASH_TEST_POSTGRES_BIN", self.bin.clone().into_os_string()),
        ];
        if self.has_pgbouncer {
            variables.push((PGBOUNCER, self.url(PGBOUNCER_PORT, DATABASE).into()));
        }
        variables
    }

    /// Creates an empty database, and returns its URL.
    ///
    /// # Errors
    /// The server refuses to create it.
    pub(crate) fn create_database(&self, name: &str) -> Result<String> {
        let mut create = Command::new(self.bin.join("createdb"));
        program::output(create.arg(name).envs(self.libpq(DATABASE)))?;
        Ok(self.url(POSTGRES_PORT, name))
    }

    /// Returns the variables with which libpq, and so psycopg, finds a database of the server.
    pub(crate) fn libpq(&self, database: &str) -> [(&'static str, OsString); 4] {
        [
            ("PGHOST", self.directory.clone().into()),
            ("PGPORT", POSTGRES_PORT.into()),
            ("PGUSER", ROLE.into()),
            ("PGDATABASE", database.into()),
        ]
    }

    fn url(&self, port: &str, database: &str) -> String {
        let host: String = self.directory.as_os_str().as_bytes().iter().map(|byte| encoded(*byte)).collect();
        format!("postgres://{ROLE}@{host}:{port}/{database}")
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Percent-encodes a byte for the host of a URL.
fn encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// Returns another user where xtask is root.
fn unprivileged() -> Result<Option<User>> {
    if !program::is_root()? {
        return Ok(None);
    }
    let number = |option: &str, name: &str| {
        program::output(Command::new("id").args([option, name])).ok()?.trim().parse().ok()
    };
    let user = UNPRIVILEGED
        .into_iter()
        .find_map(|name| Some(User { uid: number("-u", name)?, gid: number("-g", name)? }));
    let missing = || {
        Failure::new(format!(
            "PostgreSQL refuses to run as root; none of these users exists: {UNPRIVILEGED:?}"
        ))
    };
    user.map(Some).ok_or_else(missing)
}

/// Runs the command as the user, in the directory.
fn as_user(mut command: Command, user: Option<User>, directory: &Path) -> Command {
    if let Some(User { uid, gid }) = user {
        // With another user id, the supplementary groups of root are dropped, too.
        command.uid(uid).gid(gid);
    }
    command.current_dir(directory);
    command
}

/// Makes an empty directory that only its owner may enter: in memory if that is wanted and there is enough, else under
/// target/, or among the temporary files if the user can't enter target/ or if its path is too long for a socket.
fn directory(user: Option<User>, data: Data) -> Result<PathBuf> {
    let parent = match data {
        Data::InMemory if has_memory() => {
            let own = fs::metadata("/proc/self").context("reading the user")?.uid();
            PathBuf::from(MEMORY).join(format!("quash-services-{own}"))
        }
        Data::InMemory | Data::OnDisk => workspace::target_directory()?.join("services"),
    };
    remove_old(&parent);
    let directory = parent.join(std::process::id().to_string());
    fs::create_dir_all(&directory).context(format!("making {}", directory.display()))?;
    if is_usable(&directory, user)? {
        return Ok(directory);
    }
    fs::remove_dir(&directory).context(format!("removing {}", directory.display()))?;
    let directory = PathBuf::from(program::output(Command::new("mktemp").arg("-d"))?.trim());
    if is_usable(&directory, user)? {
        return Ok(directory);
    }
    Err(Failure::new("no directory for a private PostgreSQL: set CARGO_TARGET_DIR to one with a short path"))
}

/// Returns whether there is room for the databases of tests in memory.
fn has_memory() -> bool {
    let free = program::output(Command::new("df").args(["-k", "--output=avail", MEMORY])).unwrap_or_default();
    free.lines().nth(1).and_then(|kib| kib.trim().parse::<u64>().ok()).is_some_and(|kib| kib >= ENOUGH_KIB)
}

/// Gives the directory to the user, and returns whether the user can enter it and make sockets in it.
fn is_usable(directory: &Path, user: Option<User>) -> Result<bool> {
    fs::set_permissions(directory, Permissions::from_mode(0o700)).context("setting permissions")?;
    if let Some(User { uid, gid }) = user {
        std::os::unix::fs::chown(directory, Some(uid), Some(gid)).context("changing the owner")?;
    }
    let may_write = program::works(as_user(Command::new("sh"), user, directory).args(["-c", "test -w ."]));
    Ok(may_write && directory.as_os_str().len() <= LONGEST_DIRECTORY)
}

/// Removes the empty directories of processes that were killed.
fn remove_old(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let _ = fs::remove_dir(entry.path());
    }
}

/// Transaction mode, for any database. The private directory keeps other users out, so that no password is needed.
fn write_pgbouncer_settings(directory: &Path) -> Result<()> {
    let sockets = directory.display();
    let settings = format!(
        "[databases]\n\
         * = host='{sockets}' port={POSTGRES_PORT}\n\
         [pgbouncer]\n\
         pool_mode = transaction\n\
         listen_addr =\n\
         unix_socket_dir = {sockets}\n\
         listen_port = {PGBOUNCER_PORT}\n\
         auth_type = trust\n\
         auth_file = {sockets}/users.txt\n\
         admin_users = {ROLE}\n\
         max_client_conn = 2000\n\
         default_pool_size = 20\n\
         server_idle_timeout = 5\n"
    );
    for (name, text) in [("pgbouncer.ini", settings), ("users.txt", format!("\"{ROLE}\" \"\"\n"))] {
        let path = directory.join(name);
        fs::write(&path, text).context(format!("writing {}", path.display()))?;
        fs::set_permissions(&path, Permissions::from_mode(0o644)).context("setting permissions")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read() {
        assert_eq!(major("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("postgres (PostgreSQL) devel"), None);
    }

    #[test]
    fn paths_are_encoded_in_hosts() {
        let host: String = "/tmp/a b-1".bytes().map(encoded).collect();
        assert_eq!(host, "%2Ftmp%2Fa%20b-1");
    }
}
