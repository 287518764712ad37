// The compression function of SHA-256 (FIPS 180-4, 6.2.2) on several blocks side by side, a word of
// each in one register. Included by one file per instruction set, which is compiled for it: so
// nothing of a library is used here whose code the linker might then take for the whole program.
#pragma once

#include <cstdint>

namespace {

constexpr std::uint32_t kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

template <int lanes>
struct Lanes {
  // As wide as a register; from memory at any address, which may hold plain words.
  typedef std::uint32_t Word __attribute__((vector_size(4 * lanes), aligned(4), may_alias));

  static void compress(std::uint32_t* state_words, const std::uint32_t* words) {
    Word* const state = reinterpret_cast<Word*>(state_words);
    const Word* const block = reinterpret_cast<const Word*>(words);
    Word w[16];
    Word s[8];
    for (int i = 0; i < 16; ++i) w[i] = block[i];
    for (int i = 0; i < 8; ++i) s[i] = state[i];
    rounds<false, 0>(s, w, kRound);
    for (int first = 16; first < 64; first += 16) rounds<true, 0>(s, w, kRound + first);
    for (int i = 0; i < 8; ++i) state[i] += s[i];
  }

 private:
  // Rounds i to 15 of sixteen, in a row without a loop: every index is known, so all words stay in
  // registers. Instead of moving a to h by one place, each round names them one place further on.
  template <bool extend, int i>
  __attribute__((always_inline)) static void rounds(Word* s, Word* w, const std::uint32_t* k) {
    if constexpr (i < 16) {
      if constexpr (extend) {
        const Word x = w[(i + 1) & 15];
        const Word y = w[(i + 14) & 15];
        w[i] += ((x >> 7 | x << 25) ^ (x >> 18 | x << 14) ^ x >> 3) + w[(i + 9) & 15] +
                ((y >> 17 | y << 15) ^ (y >> 19 | y << 13) ^ y >> 10);
      }
      const Word a = s[(0 - i) & 7], b = s[(1 - i) & 7], c = s[(2 - i) & 7];
      const Word e = s[(4 - i) & 7], f = s[(5 - i) & 7], g = s[(6 - i) & 7];
      Word& h = s[(7 - i) & 7];
      h += ((e >> 6 | e << 26) ^ (e >> 11 | e << 21) ^ (e >> 25 | e << 7)) + (g ^ (e & (f ^ g))) +
           k[i] + w[i];
      s[(3 - i) & 7] += h;
      h += ((a >> 2 | a << 30) ^ (a >> 13 | a << 19) ^ (a >> 22 | a << 10)) +
           ((a & b) | (c & (a | b)));
      rounds<extend, i + 1>(s, w, k);
    }
  }
};

}  // namespace
