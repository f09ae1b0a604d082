//! The programming interface through a real router.

mod ahead;
mod aside;
mod catalogue;
mod clock;
mod corrections;
mod documents;
mod full;
mod homeward;
mod people;
mod pseudonymous;
mod reading;
mod shifted;
mod signing;
mod stage;
mod withdrawals;
mod words;
