//! The system user that runs a command: its name, or its number if it has no name. The server takes it from
//! the socket, so that a client can't claim to be another user.

use rustix::process::getuid;
use tokio::net::UnixStream;

/// The file with the names and numbers of the system's users.
const PASSWD: &str = "/etc/passwd";

/// Returns the user that runs this process.
pub(super) fn current_user() -> String {
    named(getuid().as_raw())
}

/// Returns the user at the other end of the control socket.
pub(super) fn peer_user(stream: &UnixStream) -> Option<String> {
    stream.peer_cred().ok().map(|peer| named(peer.uid()))
}

fn named(uid: u32) -> String {
    user_name(uid).unwrap_or_else(|| format!("uid {uid}"))
}

/// Returns the name of a system user, if it has one.
pub(crate) fn user_name(uid: u32) -> Option<String> {
    std::fs::read_to_string(PASSWD).ok().and_then(|users| name_in(&users, uid))
}

/// Finds the name of a user in the text of `/etc/passwd`.
fn name_in(users: &str, uid: u32) -> Option<String> {
    let mut names = users.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    });
    names.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_are_found_in_passwd() {
        let users = "root:x:0:0:root:/root:/bin/sh\n# a comment\n\nops:x:1000:1000::/var/ops:/bin/sh\n:x:7:\nbroken:x\n";
        let name = |uid| name_in(users, uid);
        assert_eq!((name(0).as_deref(), name(1000).as_deref()), (Some("root"), Some("ops")));
        assert_eq!((name(7), name(1), name(u32::MAX)), (None, None, None));
    }
}
