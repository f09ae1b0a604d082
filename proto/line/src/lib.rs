//! How both ends of the link use the line between them: what may be under way on it, what is kept in memory for it, what is known of it.
//!
//! [`pace`] is the machine that decides how much is sent, without clock or socket; [`quic`] puts it behind quinn's trait and sets everything
//! else that quinn has to be told alike at both ends.

pub mod pace;
pub mod quic;
