//! How the agent looks from outside: its log, its status, and the socket by which the command line asks the running process.

pub mod alarm;
pub mod control;
pub mod log;
pub mod show;
pub mod status;
