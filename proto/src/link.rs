//! The link between an agent and the gateway: messages, frames and state machines, with time and bytes as arguments.
//!
//! `SPEC.md` beside this crate is the text; the quinn connection itself lives in the two `link` rooms.

pub mod close;
pub mod codec;
pub mod download;
pub mod message;
pub mod session;
pub mod talk;
pub mod tunnel;
pub mod upload;

#[cfg(test)]
mod pair;
