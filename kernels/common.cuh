// What all kernels share: integer types, sizes, and the layout of a frame's plan in device memory.
//
// The chaotic stage (src/seal/FORMAT.md, section 9): dst[i] = src[p[i]] ^ keystream[i]. A frame is cut into tiles of 192
// blocks of 256 bytes; a tile's keystream comes from a group of 32 lanes, one row of 256 bytes (8 of each lane) for each
// block. One warp works on one tile: a thread is a lane, a row is what the warp's threads hold together.
//
// Every double operation is one IEEE-754 operation in the written order: __fma_rn and plain + - *, compiled with
// --fmad=false, so that the result is bit for bit that of src/chaos/reference.rs.
#pragma once

#ifdef __CUDACC_RTC__  // NVRTC has no <stdint.h>.
typedef unsigned char uint8_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
#else
#include <stdint.h>
#endif

constexpr uint32_t LANES = 32;
constexpr uint32_t BLOCK_BYTES = 256;
constexpr uint32_t TILE_BLOCKS = 192;
constexpr uint32_t TILE_BYTES = BLOCK_BYTES * TILE_BLOCKS;
constexpr uint32_t NETWORKS = 4;
constexpr uint32_t BLOCK_ORDERS = 8;

// Tables of one frame, drawn on the host (src/chaos/permutation.rs); all in device memory.
struct Plan {
    uint32_t key[8];               // K_frame, as the words of BLAKE3
    uint32_t tiles;                // full tiles
    uint32_t last_blocks;          // full blocks of the partial tile, below 192
    uint32_t tail;                 // bytes after the last full block, below 256
    uint32_t reserved;
    const uint8_t* networks;       // NETWORKS x 256: output byte i of a block is input byte table[i]
    const uint8_t* orders;         // BLOCK_ORDERS x 192: permuted block b belongs at plain block order[b]
    const uint32_t* tile_order;    // tiles: permuted tile t comes from plain tile tile_order[t]
    const uint8_t* tile_choice;    // tiles: block order of each permuted tile
    const uint8_t* block_choice;   // network of each permuted block, the partial tile's last
    const uint8_t* last_order;     // last_blocks
    const uint8_t* tail_order;     // tail
};
