//! One file per user story, against real processes on loopback.

#[cfg(test)]
mod banner;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod corrected;
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod dose_page;
#[cfg(test)]
mod enrolment;
#[cfg(test)]
mod fidelity;
#[cfg(test)]
mod held;
#[cfg(test)]
mod home;
#[cfg(test)]
mod link;
#[cfg(test)]
mod linking;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod priors;
#[cfg(test)]
mod protected;
#[cfg(test)]
mod recalled;
#[cfg(test)]
mod renamed;
#[cfg(test)]
mod restored;
#[cfg(test)]
mod shifted;
#[cfg(test)]
mod signed;
#[cfg(test)]
mod trail;
#[cfg(test)]
mod withdrawn;
#[cfg(test)]
mod words;
