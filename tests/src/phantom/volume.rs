//! The head as a list of ellipsoids in millimetres, later ones over earlier ones, sampled with soft edges and noise.

use std::ops::Range;

use super::{SIDE, SLICES, glyphs};

/// Millimetres between pixels.
pub(super) const SPACING: f64 = 0.46;
/// Millimetres between slices.
pub(super) const STEP: f64 = 2.5;

struct Ellipsoid {
    centre: [f64; 3],
    half: [f64; 3],
    /// Rotation in the axial plane, in degrees.
    turn: f64,
    hounsfield: f64,
    /// How deep the surface is folded, in millimetres.
    fold: f64,
}

impl Ellipsoid {
    /// How far the folds move the surface outwards or inwards here; nothing far from the surface.
    fn folding(&self, distance: f64, u: f64, v: f64, z: f64) -> f64 {
        if self.fold == 0.0 || distance.abs() > self.fold + 1.0 {
            return 0.0;
        }
        let angle = v.atan2(u);
        self.fold * ((17.0 * angle + z / 5.0).sin() + (29.0 * angle - z / 3.0).sin()) / 2.0
    }

    const fn folded(mut self, depth: f64) -> Self {
        self.fold = depth;
        self
    }
}

const fn ellipsoid(centre: [f64; 3], half: [f64; 3], turn: f64, hounsfield: f64) -> Ellipsoid {
    Ellipsoid {
        centre,
        half,
        turn,
        hounsfield,
        fold: 0.0,
    }
}

/// x to the patient's left, y to the back, z to the head; the origin is the middle of the brain.
const HEAD: &[Ellipsoid] = &[
    ellipsoid([0.0, 0.0, 0.0], [79.0, 98.0, 100.0], 0.0, -70.0), // scalp, mostly fat
    ellipsoid([0.0, 0.0, 0.0], [76.0, 95.0, 97.0], 0.0, 40.0),   // skin and muscle
    ellipsoid([0.0, -92.0, -46.0], [12.0, 15.0, 18.0], 0.0, 20.0), // nose
    ellipsoid([0.0, 0.0, 0.0], [73.0, 92.0, 94.0], 0.0, 1150.0), // outer table
    ellipsoid([0.0, 0.0, 0.0], [71.0, 90.0, 92.0], 0.0, 550.0),  // diploe
    ellipsoid([0.0, 0.0, 0.0], [69.0, 88.0, 90.0], 0.0, 1000.0), // inner table
    ellipsoid([0.0, 0.0, 0.0], [67.0, 86.0, 88.0], 0.0, 8.0),    // cerebrospinal fluid
    ellipsoid([0.0, 0.0, 2.0], [64.5, 83.5, 84.0], 0.0, 38.0).folded(2.6), // cortex
    ellipsoid([-31.0, -2.0, 10.0], [26.0, 66.0, 58.0], -5.0, 29.0).folded(3.2), // white matter
    ellipsoid([31.0, -2.0, 10.0], [26.0, 66.0, 58.0], 5.0, 29.0).folded(3.2),
    ellipsoid([0.0, -4.0, 44.0], [1.6, 84.0, 58.0], 0.0, 8.0), // fissure between the hemispheres
    ellipsoid([0.0, -4.0, 46.0], [0.7, 84.0, 58.0], 0.0, 58.0), // falx
    ellipsoid([0.0, -2.0, 16.0], [8.0, 34.0, 8.0], 0.0, 28.0), // corpus callosum
    ellipsoid([-22.0, -10.0, 0.0], [8.0, 16.0, 13.0], 18.0, 40.0), // basal ganglia
    ellipsoid([22.0, -10.0, 0.0], [8.0, 16.0, 13.0], -18.0, 40.0),
    ellipsoid([-10.0, 13.0, 0.0], [8.0, 13.0, 10.0], 12.0, 39.0), // thalami
    ellipsoid([10.0, 13.0, 0.0], [8.0, 13.0, 10.0], -12.0, 39.0),
    ellipsoid([-9.0, -24.0, 10.0], [5.0, 20.0, 12.0], 20.0, 4.0), // lateral ventricles
    ellipsoid([8.0, -24.0, 10.0], [4.2, 18.0, 12.0], -20.0, 4.0),
    ellipsoid([-19.0, 30.0, 8.0], [5.5, 19.0, 10.0], -26.0, 4.0),
    ellipsoid([18.0, 31.0, 8.0], [4.4, 16.0, 9.0], 26.0, 4.0),
    ellipsoid([-1.0, 4.0, 0.0], [1.9, 12.0, 9.0], 0.0, 4.0), // third ventricle
    ellipsoid([0.0, 46.0, -46.0], [42.0, 30.0, 24.0], 0.0, 37.0).folded(1.4), // cerebellum
    ellipsoid([0.0, 30.0, -42.0], [6.0, 6.0, 8.0], 0.0, 4.0), // fourth ventricle
    ellipsoid([0.0, 17.0, -42.0], [13.0, 12.0, 30.0], 0.0, 33.0), // brain stem
    ellipsoid([0.0, 25.0, 2.0], [2.4, 3.0, 3.0], 0.0, 140.0), // calcified pineal gland
    ellipsoid([-28.0, -60.0, -50.0], [20.0, 22.0, 15.0], 0.0, -90.0), // fat of the orbits
    ellipsoid([28.0, -60.0, -50.0], [20.0, 22.0, 15.0], 0.0, -90.0),
    ellipsoid([-28.0, -64.0, -50.0], [12.0, 12.0, 12.0], 0.0, 15.0), // eyes
    ellipsoid([28.0, -64.0, -50.0], [12.0, 12.0, 12.0], 0.0, 15.0),
    ellipsoid([-28.0, -73.5, -50.0], [4.5, 2.2, 4.5], 0.0, 90.0), // lenses
    ellipsoid([28.0, -73.5, -50.0], [4.5, 2.2, 4.5], 0.0, 90.0),
    ellipsoid([-5.5, -54.0, -56.0], [4.5, 19.0, 14.0], 0.0, -950.0), // sinuses
    ellipsoid([5.5, -54.0, -56.0], [4.5, 19.0, 14.0], 0.0, -950.0),
    ellipsoid([-45.0, 22.0, -60.0], [9.0, 13.0, 9.0], 20.0, -550.0), // mastoid cells
    ellipsoid([45.0, 22.0, -60.0], [9.0, 13.0, 9.0], -20.0, -550.0),
    ellipsoid([41.0, -8.0, 18.0], [19.0, 23.0, 18.0], 20.0, 22.0).folded(2.0), // oedema around
    ellipsoid([41.0, -8.0, 18.0], [12.0, 15.0, 13.0], 20.0, 68.0).folded(1.5), // a bleed on the left
];

/// Stored values of one slice (rescale intercept -1024), rows from front to back.
pub(super) fn slice(slice: u16, seed: u64) -> Vec<u16> {
    let z = height(slice);
    let side = usize::from(SIDE);
    let mut field = vec![-1000.0_f64; side * side];
    for shape in HEAD {
        paint(&mut field, shape, z);
    }
    let mut noise = Noise::new(seed, slice);
    let mut pixels: Vec<u16> = field
        .iter()
        .map(|value| stored(value + 7.0 * noise.next_normal()))
        .collect();
    glyphs::draw_test(&mut pixels);
    pixels
}

/// Height of a slice above the middle of the brain, in millimetres; the lowest slice comes first.
pub(super) fn height(slice: u16) -> f64 {
    (f64::from(slice) - f64::from(SLICES) / 2.0) * STEP
}

fn paint(field: &mut [f64], shape: &Ellipsoid, z: f64) {
    let [middle_x, middle_y, middle_z] = shape.centre;
    let [half_x, half_y, half_z] = shape.half;
    let smallest = half_x.min(half_y).min(half_z);
    let dz = (z - middle_z) / half_z;
    let reach = half_x.max(half_y) + shape.fold + 2.0;
    if dz.abs() * smallest > smallest + shape.fold + 2.0 {
        return;
    }
    let (sin, cos) = shape.turn.to_radians().sin_cos();
    let columns = pixels_within(middle_x, reach);
    for row in pixels_within(middle_y, reach) {
        let start = row * usize::from(SIDE);
        let y = millimetres(row) - middle_y;
        for column in columns.clone() {
            let x = millimetres(column) - middle_x;
            let u = (x * cos + y * sin) / half_x;
            let v = (y * cos - x * sin) / half_y;
            let distance = ((u * u + v * v + dz * dz).sqrt() - 1.0) * smallest;
            let inside =
                (0.5 - (distance + shape.folding(distance, u, v, z)) / 1.2).clamp(0.0, 1.0);
            if inside > 0.0
                && let Some(value) = field.get_mut(start + column)
            {
                *value += (shape.hounsfield - *value) * inside;
            }
        }
    }
}

/// Indices of the pixels that lie within `reach` millimetres of `middle` along one axis.
fn pixels_within(middle: f64, reach: f64) -> Range<usize> {
    let first = (0..usize::from(SIDE)).find(|index| millimetres(*index) >= middle - reach);
    let last = (0..usize::from(SIDE)).rfind(|index| millimetres(*index) <= middle + reach);
    first.unwrap_or(0)..last.map_or(0, |last| last + 1)
}

fn millimetres(index: usize) -> f64 {
    let index = u16::try_from(index).unwrap_or(SIDE);
    (f64::from(index) - f64::from(SIDE) / 2.0 + 0.5) * SPACING
}

fn stored(hounsfield: f64) -> u16 {
    let value = (hounsfield + 1024.0).round().clamp(0.0, 4000.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=4000 in the line above"
    )]
    let value = value as u16;
    value
}

/// A small counter-based generator: quantum noise needs no more.
struct Noise(u64);

impl Noise {
    fn new(seed: u64, slice: u16) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (u64::from(slice) << 40))
    }

    fn next_uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let top = u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or(0);
        f64::from(top) / f64::from(u32::MAX)
    }

    /// Near enough to a normal distribution of variance 1: the scaled sum of three uniform numbers.
    fn next_normal(&mut self) -> f64 {
        2.0 * (self.next_uniform() + self.next_uniform() + self.next_uniform() - 1.5)
    }
}
