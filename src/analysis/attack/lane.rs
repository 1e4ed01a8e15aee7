//! From known keystream words of a lane to those that follow: what one lane gives, what a tile of profile `chaos` gives,
//! and what the logistic-sine half would cost.

use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::{
    Subject,
    flat_tile::{self, BrokenTile, HIGH_PLANES, TileShapes, break_tile},
    lorenz_state::{Search, Shapes, Window, search},
    lss_state,
    report::{Outcome, Panel, Row},
    target::{Stream, Target},
};
use crate::{
    Result,
    analysis::{finding::Finding, keystream::mantissas, picture::Picture, random::Random},
    chaos::{
        BLOCK_BYTES, LANE_SEED_BYTES, TILE_BLOCKS, TILE_BYTES,
        lane::{self, Lane},
    },
    seal::Profile,
};

/// Name of the attack.
pub const NAME: &str = "lane";
/// Lanes whose words are known, for the rate of success.
const LANES: u64 = 40;
/// Lanes on which the logistic-sine search is measured.
const LSS_LANES: u64 = 8;
/// Pairs of exponents that the cost of the whole search is told for.
const PAIRS: usize = 4;
/// Windows of known words that are tried before a lane is given up: 12 words.
const WINDOWS: usize = 2;
/// Black of video, of which the bars above and below a picture are.
const BAR: u8 = 16;

/// Runs it on lanes of our own, on a frame of profile `chaos`, and on one of profile `hardened`.
///
/// # Errors
/// What goes wrong with sealing.
pub fn run(subject: &Subject) -> Result<Outcome> {
    let shapes = TileShapes::observed();
    let frame = with_bars(&subject.picture);
    let (chaos, panels) = broken_frame(subject, &frame, &shapes)?;
    let rows = vec![lorenz_row(subject), lss_row(subject), chaos, hardened_row(subject, &frame, &shapes)?];
    Ok(Outcome { rows, panels })
}

// -- single lanes ----------------------------------------------------------------------------------------------------

/// Seeds of the lanes under attack.
fn seeds(subject: &Subject, lanes: u64) -> impl Iterator<Item = [u8; LANE_SEED_BYTES]> {
    let mut random = Random::new(&subject.seed, "lanes");
    (0..lanes).map(move |_| random.array())
}

fn lorenz_row(subject: &Subject) -> Row {
    let shapes = Shapes::frequent();
    let started = Instant::now();
    let lanes: Vec<_> = seeds(subject, LANES).map(|seed| attack_lane(&lane::words(&seed), &shapes)).collect();
    let time = started.elapsed();
    let found = lanes.iter().filter(|lane| lane.predicted > 0).count();
    let at_once = lanes.iter().filter(|lane| lane.windows == 1 && lane.predicted > 0).count();
    let most = lanes.iter().map(|lane| lane.candidates).max().unwrap_or(0);
    let right: usize = lanes.iter().map(|lane| lane.right).sum();
    let predicted: usize = lanes.iter().map(|lane| lane.predicted).sum();
    let candidates = lanes.iter().map(|lane| lane.candidates as f64).sum::<f64>() / LANES as f64;
    Row {
        attack: NAME,
        target: "one lane",
        needs: "7 known words, or 10".into(),
        work: format!(
            "2^{:.1} candidates (most 2^{:.1}), {:.1} ms a lane",
            candidates.max(1.0).log2(),
            (most.max(1) as f64).log2(),
            time.as_secs_f64() * 1e3 / LANES as f64
        ),
        broken: found > 0,
        result: format!(
            "{found} of {LANES} states, {at_once} by 7 words; high planes of {right} of {predicted} later words"
        ),
        reason: "the Lorenz x-equation is linear and public: the hidden bits of two differences are closest vectors of two-dimensional lattices, which leaves 20 bits to try"
            .into(),
        seconds: time.as_secs_f64(),
        findings: vec![
            share("states found", found as u64, LANES),
            share("predicted words right", right as u64, predicted as u64),
        ],
    }
}

/// A share in percent, without a verdict.
fn share(name: &'static str, count: u64, samples: u64) -> Finding {
    Finding::plain(name, "all", 100.0 * count as f64 / samples.max(1) as f64, samples)
}

/// What came of a lane.
struct AttackedLane {
    windows: usize,
    candidates: u64,
    /// Words after the window that the state says something of.
    predicted: usize,
    /// Those of them that are as it says.
    right: usize,
}

fn attack_lane(words: &[u64], shapes: &Shapes) -> AttackedLane {
    const LORENZ: u64 = 0xF0F0_F0F0_F0F0_F0F0;
    let mut candidates = 0;
    for round in 0..WINDOWS {
        let low = |word: usize| mantissas(words[3 * round + word])[1];
        let Search { state, candidates: tried } = search(shapes, &Window::of(std::array::from_fn(low)));
        candidates += tried;
        let Some(state) = state else { continue };
        let following = words[3 * round..].iter().zip(flat_tile::masks(state)).skip(Window::WORDS);
        let right = following.clone().filter(|(word, mask)| **word & LORENZ == *mask).count();
        return AttackedLane { windows: round + 1, candidates, predicted: following.count(), right };
    }
    AttackedLane { windows: WINDOWS, candidates, predicted: 0, right: 0 }
}

fn lss_row(subject: &Subject) -> Row {
    let (mut found, mut guesses) = (0, 0);
    let mut time = Duration::ZERO;
    for (lane, window) in seeds(subject, LSS_LANES).filter_map(|seed| lss_window(&Lane::from_seed(&seed))) {
        let started = Instant::now();
        let search = lss_state::search(&window);
        time += started.elapsed();
        found += u64::from(search.parameter == Some(lane.u));
        guesses += search.guesses;
    }
    let nanoseconds = time.as_secs_f64() * 1e9 / guesses.max(1) as f64;
    // 2^20 values of the head that was given, and the exponents.
    let hours = nanoseconds * 1e-9 * (PAIRS as f64 * 2f64.powi(40)) / 3600.0;
    Row {
        attack: NAME,
        target: "one lane, LSS",
        needs: format!("{} known words, 20 more bits given", 1 + lss_state::FOLLOWING),
        work: format!("{nanoseconds:.1} ns a guess; all 2^42: {hours:.0} core hours"),
        broken: found > 0,
        result: format!("{found} of {LSS_LANES} parameters: low planes of all later words"),
        reason: format!(
            "one step is linear in the parameter; 2^40 hidden bits of two states have to be guessed for each pair of exponents, of which the {PAIRS} likeliest are those of {:.0} % of steps",
            100.0 * lss_state::share_of_likeliest(PAIRS)
        ),
        seconds: time.as_secs_f64(),
        findings: vec![share("parameters found", found, LSS_LANES)],
    }
}

/// The first window of a lane that tells the parameter.
fn lss_window(lane: &Lane) -> Option<(Lane, lss_state::Window)> {
    let orbit: Vec<f64> = lss_state::orbit(lane).collect();
    let mut windows = orbit.windows(lss_state::FOLLOWING + 1).filter_map(|states| {
        let (&t, following) = states.split_first()?;
        Some(lss_state::Window::of(t, *following.first_chunk()?))
    });
    windows.find(lss_state::Window::is_steep).map(|window| (*lane, window))
}

// -- frames ----------------------------------------------------------------------------------------------------------

/// The picture between two bars, as a film on a screen of another shape: each two thirds of a tile at least, so that all
/// have a whole tile.
fn with_bars(picture: &Picture) -> Picture {
    let row_bytes = picture.width * picture.channels;
    let rows = (TILE_BYTES * 2 / 3).div_ceil(row_bytes);
    let bar = vec![BAR; rows * row_bytes];
    let bytes = [&bar[..], &picture.bytes, &bar].concat();
    Picture { height: picture.height + 2 * rows, bytes, ..*picture }
}

/// The broken tiles of a cipher frame.
fn broken_tiles(cipher: &[u8], shapes: &TileShapes) -> Vec<(usize, BrokenTile)> {
    let tiles: Vec<&[u8]> = cipher.chunks_exact(TILE_BYTES).collect();
    let attacked = tiles.par_iter().enumerate();
    attacked.filter_map(|(number, tile)| Some((number, break_tile(tile, BAR, shapes)?))).collect()
}

fn broken_frame(subject: &Subject, frame: &Picture, shapes: &TileShapes) -> Result<(Row, Vec<Panel>)> {
    let cipher = subject.seal(Profile::Chaos, &frame.bytes)?;
    let started = Instant::now();
    let broken = broken_tiles(&cipher, shapes);
    let time = started.elapsed();
    let tiles = cipher.len() / TILE_BYTES;
    let score = Score::of(&frame.bytes, &broken);
    let row = Row {
        attack: NAME,
        target: "chaos",
        needs: "a frame with a tile two thirds flat".into(),
        work: format!("{} windows in {tiles} tiles, {:.1} s", flat_tile::WINDOWS, time.as_secs_f64()),
        broken: !broken.is_empty(),
        result: format!(
            "{} of {tiles} tiles; high planes of {} of {} blocks not flat, still permuted",
            broken.len(),
            score.right,
            score.read
        ),
        reason: "whatever is flat, with a value whose high four bits are known, shows its keystream wherever it is permuted to; the Lorenz half of the rest of the tile follows"
            .into(),
        seconds: time.as_secs_f64(),
        findings: vec![share("blocks right", score.right, score.read)],
    };
    Ok((row, broken.first().map(|(number, tile)| panels(&cipher, *number, tile)).unwrap_or_default()))
}

/// What was read of blocks that are not flat.
struct Score {
    read: u64,
    right: u64,
}

impl Score {
    /// A block that was read is right if a block of the plain frame has as many of each value, for the permutation is not
    /// undone; each block of the frame counts once.
    fn of(plain: &[u8], broken: &[(usize, BrokenTile)]) -> Score {
        let histogram = |block: &[u8]| {
            let mut counts = [0u16; 16];
            block.iter().for_each(|byte| counts[usize::from(byte >> 4)] += 1);
            counts
        };
        let mut blocks: Vec<_> = plain.chunks_exact(BLOCK_BYTES).map(histogram).collect();
        let mut score = Score { read: 0, right: 0 };
        for (_, block) in broken.iter().flat_map(|(_, tile)| tile.rows()) {
            if block.iter().all(|&planes| planes == BAR & HIGH_PLANES) {
                continue;
            }
            score.read += 1;
            let counts = histogram(&block);
            if let Some(same) = blocks.iter().position(|other| *other == counts) {
                blocks.swap_remove(same);
                score.right += 1;
            }
        }
        score
    }
}

/// A tile of the cipher, one block a row, and what was read of it.
fn panels(cipher: &[u8], number: usize, tile: &BrokenTile) -> Vec<Panel> {
    let picture = |bytes: Vec<u8>| Picture { width: BLOCK_BYTES, height: TILE_BLOCKS, channels: 1, bytes };
    let sealed = cipher[number * TILE_BYTES..][..TILE_BYTES].to_vec();
    let read = tile.planes.iter().zip(&sealed).map(|(planes, &byte)| planes.unwrap_or(byte)).collect();
    let rows = tile.rows().count();
    vec![
        Panel { title: "cipher tile", picture: picture(sealed), caption: String::new() },
        Panel {
            title: "its high bit planes",
            picture: picture(read),
            caption: format!("{rows} of {TILE_BLOCKS} blocks, permuted"),
        },
    ]
}

fn hardened_row(subject: &Subject, frame: &Picture, shapes: &TileShapes) -> Result<Row> {
    let cipher = subject.seal(Profile::Hardened, &frame.bytes)?;
    let started = Instant::now();
    let broken = broken_tiles(&cipher, shapes);
    let time = started.elapsed();
    let tiles = cipher.len() / TILE_BYTES;
    Ok(Row {
        attack: NAME,
        target: "hardened",
        needs: "the same frame".into(),
        work: format!("{} windows in {tiles} tiles, {:.1} s", flat_tile::WINDOWS, time.as_secs_f64()),
        broken: !broken.is_empty(),
        result: format!("{} of {tiles} tiles", broken.len()),
        reason:
            "there is nothing to run it on: the stage masks what the AEAD has sealed, of which nothing is known or flat"
                .into(),
        seconds: time.as_secs_f64(),
        findings: vec![share("tiles broken", broken.len() as u64, tiles as u64)],
    })
}

impl Subject {
    /// One frame of a stream of the given profile.
    fn seal(&self, profile: Profile, frame: &[u8]) -> Result<Vec<u8>> {
        Stream::new(profile, &self.seed, self.backend.clone()).encrypt(frame)
    }
}
