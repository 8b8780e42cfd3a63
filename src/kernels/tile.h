// Feature maps in shared memory, as matrix multiplications read them, and how they are made while they are read.
#pragma once
#include "sums.h"

// Rows of `UNITS` times 16 bytes, so placed that the same unit of 8 rows that follow each other is in different banks.
template <int UNITS>
DEVICE int swizzled(int row, int unit) {
  constexpr int EVERY = UNITS >= 8 ? 1 : 8 / UNITS, MASK = UNITS >= 8 ? 7 : UNITS - 1;
  return row * UNITS + (unit ^ ((row / EVERY) & MASK));
}

DEVICE Words shortcut_at(const Shortcut& shortcut, int channels, int side, int image, int row, int column, int unit) {
  if (!shortcut.maps) return Words{};
  const int units = channels / 8;
  if (!shortcut.widens) return shortcut.maps[((long long)(image * side + row) * side + column) * units + unit];
  const int narrow = units / 2, from = unit - units / 4;
  if (from < 0 || from >= narrow) return Words{};
  return shortcut.maps[((long long)(image * side * 2 + row * 2) * side * 2 + column * 2) * narrow + from];
}

// One thread's eight channels of an Activation.
struct ActivationReader {
  const Activation& source;
  int channels, side, unit;
  float mean[8], factor[8], beta[8];
  METHOD ActivationReader(const Activation& source, int channels, int side, int unit) : source(source), channels(channels), side(side), unit(unit) {
    if (!source.mean) return;
    for (int i = 0; i < 8; ++i) {
      mean[i] = source.mean[unit * 8 + i];
      factor[i] = source.factor[unit * 8 + i];
      beta[i] = source.beta[unit * 8 + i];
    }
  }
  METHOD Words at(int image, int row, int column, bool keep) const {
    const long long place = ((long long)(image * side + row) * side + column) * (channels / 8) + unit;
    const Words read = source.maps[place];
    if (!source.mean) return read;
    const Words added = shortcut_at(source.shortcut, channels, side, image, row, column, unit);
    float v[8];
    for (int i = 0; i < 8; ++i) v[i] = positive(fused(part(read, i) - mean[i], factor[i], beta[i]) + part(added, i));
    const Words made = packed(v);
    if (keep && source.made) source.made[place] = made;
    return made;
  }
};

// One thread's eight channels of an OutputGradient.
struct GradientReader {
  const OutputGradient& source;
  int channels, side, unit;
  float mean[8], factor[8], slope[8], offset[8];
  METHOD GradientReader(const OutputGradient& source, int channels, int side, int unit) : source(source), channels(channels), side(side), unit(unit) {
    for (int i = 0; i < 8; ++i) {
      mean[i] = source.mean[unit * 8 + i];
      factor[i] = source.factor[unit * 8 + i];
      slope[i] = source.slope[unit * 8 + i];
      offset[i] = source.offset[unit * 8 + i];
    }
  }
  METHOD Words at(int image, int row, int column, bool) const {
    const long long place = ((long long)(image * side + row) * side + column) * (channels / 8) + unit;
    const Words gradient = source.gradient[place], maps = source.maps[place];
    float v[8];
    for (int i = 0; i < 8; ++i) v[i] = fused(part(gradient, i), factor[i], fused(part(maps, i) - mean[i], slope[i], offset[i]));
    return packed(v);
  }
};

// Images, float32 [images, side, side, 3], as maps of 16 channels of which 13 are zeros.
struct ImageReader {
  const float* images;
  int side, unit;
  METHOD ImageReader(const float* images, int side, int unit) : images(images), side(side), unit(unit) {}
  METHOD Words at(int image, int row, int column, bool) const {
    Words words{};
    if (unit > 0) return words;
    const float* pixel = images + ((long long)(image * side + row) * side + column) * 3;
    words.v[0] = pack(pixel[0], pixel[1]);
    words.v[1] = pack(pixel[2], 0);
    return words;
  }
};

// HEIGHT × WIDTH pixels from (top, left) on of an image of SIDE × SIDE pixels, zeros outside. With EVERY 2, the reader's image has half the
// side, and its pixels stand at even places with zeros between. `kept`: rows and columns from 0 on whose result is kept belong to this tile.
template <int CHANNELS, int SIDE, int HEIGHT, int WIDTH, int EVERY, typename Reader>
DEVICE void fill_tile(Words* tile, const Reader& reader, int image, int top, int left, int keep_from, int keep_to) {
  constexpr int UNITS = CHANNELS / 8;
  static_assert(THREADS % UNITS == 0, "a thread keeps its channels");
  const int unit = thread_id() % UNITS;
  for (int pixel = thread_id() / UNITS; pixel < WIDTH * HEIGHT; pixel += THREADS / UNITS) {
    const int row = top + pixel / WIDTH, column = left + pixel % WIDTH;
    Words value{};
    if (row >= 0 && row < SIDE && column >= 0 && column < SIDE && row % EVERY == 0 && column % EVERY == 0)
      value = reader.at(image, row / EVERY, column / EVERY, row >= keep_from && row < keep_to);
    tile[swizzled<UNITS>(pixel, unit)] = value;
  }
}
