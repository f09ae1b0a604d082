//! The report as a document: encode, decode, sign-bytes, verify.

pub mod closing;
pub mod coding;
pub mod model;
pub mod outline;
pub mod signature;
pub mod sr;

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tools;
