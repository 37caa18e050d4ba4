//! A verifier in this process, a real server, and a connection between them that is cut, delayed, mangled or
//! silent. An ended token is never accepted for longer than a lease, and a token that was refused as ended is
//! never accepted again. The same while the server is killed, its store is replaced by an older copy, or its
//! clock jumps.

mod clocks;
mod faults;
mod namespaces;
mod presented;
mod proxy;
mod restarts;
mod site;
mod wait;

use crate::support;
