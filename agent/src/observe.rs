//! How the agent looks from outside: its log, its status, and the socket by which the command line asks the running process.

pub mod alarm;
pub mod control;
pub mod downtime;
pub mod health;
pub mod log;
mod measure;
mod queue;
pub mod show;
pub mod status;
pub mod watch;
