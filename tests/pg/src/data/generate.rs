use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// `groups` centres taken evenly from `base`, each with `per_group` rows around it: the centre plus Gaussian noise of
/// expected length `noise`, brought to unit length. The rows come in random order, as a table of variants that
/// grew over time. Of unit vectors with noise 0.2, two of a group have a cosine similarity of about 0.96.
pub fn tight_groups(base: &[Vec<f32>], groups: usize, per_group: usize, noise: f32, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut rows = Vec::with_capacity(groups * per_group);
    for group in 0..groups {
        let centre = &base[group * base.len() / groups];
        rows.extend((0..per_group).map(|_| noisy(centre, noise, &mut rng)));
    }
    rows.shuffle(&mut rng);
    rows
}

/// `n` rows around rows of `base` taken at random, each with its own noise: as tight_groups.
pub fn noisy_copies(base: &[Vec<f32>], n: usize, noise: f32, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..n).map(|_| noisy(&base[rng.random_range(0..base.len())], noise, &mut rng)).collect()
}

/// `n` rows that are as far apart as real ones: all of `base` and, where that is not enough, points between two random
/// rows of it with noise of their own.
pub fn spread(base: &[Vec<f32>], n: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut rows: Vec<Vec<f32>> = base.iter().take(n).cloned().collect();
    while rows.len() < n {
        let (a, b) = (&base[rng.random_range(0..base.len())], &base[rng.random_range(0..base.len())]);
        let weight = rng.random_range(0.15..0.35f32);
        let between: Vec<f32> = a.iter().zip(b).map(|(x, y)| x * (1.0 - weight) + y * weight).collect();
        rows.push(noisy(&normalised(between), 0.5, &mut rng));
    }
    rows
}

/// `n` rows of `base.len()` real ones and tight groups around them (200 rows a group, noise 0.2), shuffled.
pub fn expand_real(base: &[Vec<f32>], n: usize, seed: u64) -> Vec<Vec<f32>> {
    const PER_GROUP: usize = 200;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut rows: Vec<Vec<f32>> = base.iter().take(n).cloned().collect();
    let missing = n - rows.len();
    let mut grouped = tight_groups(base, missing.div_ceil(PER_GROUP).max(1), PER_GROUP, 0.2, seed ^ 1);
    grouped.truncate(missing);
    rows.extend(grouped);
    rows.shuffle(&mut rng);
    rows
}

/// The rows in fewer dimensions: a random Gaussian projection, brought to unit length where `unit` is set.
pub fn project(rows: &[Vec<f32>], dimensions: usize, unit: bool, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = StdRng::seed_from_u64(seed);
    let from = rows.first().map_or(0, Vec::len);
    let scale = 1.0 / (dimensions as f32).sqrt();
    let matrix: Vec<Vec<f32>> =
        (0..dimensions).map(|_| (0..from).map(|_| gaussian(&mut rng) * scale).collect()).collect();
    rows.iter()
        .map(|row| {
            let projected = matrix.iter().map(|line| line.iter().zip(row).map(|(a, b)| a * b).sum()).collect();
            if unit { normalised(projected) } else { projected }
        })
        .collect()
}

fn noisy(centre: &[f32], noise: f32, rng: &mut StdRng) -> Vec<f32> {
    let scale = noise / (centre.len() as f32).sqrt();
    normalised(centre.iter().map(|x| x + scale * gaussian(rng)).collect())
}

fn normalised(mut vector: Vec<f32>) -> Vec<f32> {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm > 0.0 {
        vector.iter_mut().for_each(|x| *x /= norm);
    }
    vector
}

/// Box and Muller's transform, one of its two values.
fn gaussian(rng: &mut StdRng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Vec<Vec<f32>> {
        (0..8).map(|i| (0..64).map(|j| if j % 8 == i { 1.0 / 8f32.sqrt() } else { 0.0 }).collect()).collect()
    }

    fn dot(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn groups_are_tight_apart_and_repeatable() {
        let rows = tight_groups(&base(), 4, 50, 0.2, 7);
        assert_eq!(rows.len(), 200);
        assert_eq!(rows, tight_groups(&base(), 4, 50, 0.2, 7));
        let near = |row: &Vec<f32>| rows.iter().filter(|other| dot(row, other) > 0.9).count();
        assert!(rows.iter().all(|row| near(row) == 50 && (dot(row, row) - 1.0).abs() < 1e-5));
    }

    #[test]
    fn projections_keep_their_length_when_asked() {
        let rows = project(&base(), 16, true, 3);
        assert!(rows.iter().all(|row| row.len() == 16 && (dot(row, row) - 1.0).abs() < 1e-5));
    }

    #[test]
    fn expansions_have_the_size_asked_for() {
        assert_eq!(expand_real(&base(), 1_007, 1).len(), 1_007);
        assert_eq!(expand_real(&base(), 5, 1).len(), 5);
        assert_eq!(spread(&base(), 100, 1).len(), 100);
    }
}
