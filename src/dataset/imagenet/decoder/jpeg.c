/* Decoding a part of a JPEG file with libjpeg's interface.

   It is C because libjpeg reports an error by a call that must not return: here it jumps back into the function that Rust called, and no frame
   of Rust is jumped over. */

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

/* What went wrong; the same numbers are in jpeg.rs. */
enum { DONE = 0, TRUNCATED = 1, DAMAGED = 2, UNSUPPORTED = 3, OUT_OF_MEMORY = 4 };

/* A progressive file of so many scans is made to keep a decoder busy. */
#define MOST_SCANS 500

struct image_jpeg {
  struct jpeg_decompress_struct info;
  struct jpeg_error_mgr errors;
  struct jpeg_source_mgr source;
  struct jpeg_progress_mgr progress;
  jmp_buf escape;
  int failure;
  char message[JMSG_LENGTH_MAX];
};

static struct image_jpeg *self(j_common_ptr info) { return (struct image_jpeg *)info->client_data; }

static void fail(j_common_ptr info, int failure) {
  struct image_jpeg *jpeg = self(info);
  jpeg->failure = failure;
  longjmp(jpeg->escape, 1);
}

static void on_error(j_common_ptr info) {
  struct image_jpeg *jpeg = self(info);
  info->err->format_message(info, jpeg->message);
  switch (info->err->msg_code) {
    case JERR_ARITH_NOTIMPL:
      strcpy(jpeg->message, "arithmetic coding");
      fail(info, UNSUPPORTED);
      break;
    case JERR_BAD_PRECISION:
      snprintf(jpeg->message, sizeof jpeg->message, "%d bits a sample", jpeg->info.data_precision);
      fail(info, UNSUPPORTED);
      break;
    case JERR_SOF_UNSUPPORTED:
      snprintf(jpeg->message, sizeof jpeg->message, "frame type 0x%02x (lossless, hierarchical or arithmetic)", info->err->msg_parm.i[0]);
      fail(info, UNSUPPORTED);
      break;
    case JERR_COMPONENT_COUNT:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_BAD_J_COLORSPACE:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_CCIR601_NOTIMPL:
    case JERR_NOTIMPL:
    case JERR_NOT_COMPILED:
      fail(info, UNSUPPORTED);
      break;
    case JERR_OUT_OF_MEMORY:
      fail(info, OUT_OF_MEMORY);
      break;
    default:
      fail(info, DAMAGED);
  }
}

/* libjpeg goes on after a warning with invented pixels; those warnings that mean so end the decoding here. The others are about bytes
   between segments and unusual headers, with which the picture is whole. */
static void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC:
      info->err->format_message(info, self(info)->message);
      fail(info, DAMAGED);
      break;
    case JWRN_JPEG_EOF:
      fail(info, TRUNCATED);
      break;
    default:
      break;
  }
}

static void on_output(j_common_ptr info) { (void)info; }

static void on_progress(j_common_ptr info) {
  if (self(info)->info.input_scan_number > MOST_SCANS) {
    snprintf(self(info)->message, sizeof self(info)->message, "more than %d scans", MOST_SCANS);
    fail(info, UNSUPPORTED);
  }
}

static void source_nothing(j_decompress_ptr info) { (void)info; }

/* The whole file is in the buffer: who asks for more has come to its end. */
static boolean source_more(j_decompress_ptr info) {
  fail((j_common_ptr)info, TRUNCATED);
  return FALSE;
}

static void source_skip(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  if ((size_t)count > info->src->bytes_in_buffer) fail((j_common_ptr)info, TRUNCATED);
  info->src->next_input_byte += count;
  info->src->bytes_in_buffer -= (size_t)count;
}

/* Whether libjpeg got the memory it wants at first. */
static int create(struct image_jpeg *jpeg) {
  if (setjmp(jpeg->escape)) return 0;
  jpeg_create_decompress(&jpeg->info);
  return 1;
}

/* A decompressor that can be used for one file after another; a null pointer without memory. */
struct image_jpeg *image_jpeg_new(void) {
  struct image_jpeg *jpeg = calloc(1, sizeof *jpeg);
  if (jpeg == NULL) return NULL;
  jpeg->info.err = jpeg_std_error(&jpeg->errors);
  jpeg->errors.error_exit = on_error;
  jpeg->errors.emit_message = on_message;
  jpeg->errors.output_message = on_output;
  jpeg->info.client_data = jpeg;
  if (!create(jpeg)) {
    jpeg_destroy_decompress(&jpeg->info);
    free(jpeg);
    return NULL;
  }
  jpeg->progress.progress_monitor = on_progress;
  jpeg->info.progress = &jpeg->progress;
  jpeg->source.init_source = source_nothing;
  jpeg->source.fill_input_buffer = source_more;
  jpeg->source.skip_input_data = source_skip;
  jpeg->source.resync_to_restart = jpeg_resync_to_restart;
  jpeg->source.term_source = source_nothing;
  jpeg->info.src = &jpeg->source;
  return jpeg;
}

void image_jpeg_free(struct image_jpeg *jpeg) {
  if (jpeg == NULL) return;
  jpeg_destroy_decompress(&jpeg->info);
  free(jpeg);
}

/* What the last failure was, in libjpeg's words. */
const char *image_jpeg_message(const struct image_jpeg *jpeg) { return jpeg->message; }

/* Begins with a file, which must stay where it is until the last call for it, and gives its size, and whether all its coefficients are kept
   while it is decoded. */
int image_jpeg_header(struct image_jpeg *jpeg, const uint8_t *bytes, size_t length, uint32_t *width, uint32_t *height, int *kept_whole) {
  j_decompress_ptr info = &jpeg->info;
  jpeg->message[0] = 0;
  if (setjmp(jpeg->escape)) return jpeg->failure;
  jpeg_abort_decompress(info);
  jpeg->source.next_input_byte = bytes;
  jpeg->source.bytes_in_buffer = length;
  jpeg_read_header(info, TRUE);
  if (info->jpeg_color_space == JCS_UNKNOWN) {
    snprintf(jpeg->message, sizeof jpeg->message, "%d colour components", info->num_components);
    return UNSUPPORTED;
  }
  *width = info->image_width;
  *height = info->image_height;
  *kept_whole = jpeg_has_multiple_scans(info);
  return DONE;
}

/* Prepares columns *x to *x + *columns of the image scaled by `eighths`/8; gives those that will come, which are more, and the number of rows. */
int image_jpeg_start(struct image_jpeg *jpeg, int eighths, uint32_t *x, uint32_t *columns, uint32_t *rows) {
  j_decompress_ptr info = &jpeg->info;
  if (setjmp(jpeg->escape)) return jpeg->failure;
  int inks = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
  info->out_color_space = inks ? JCS_CMYK : JCS_RGB;
  info->scale_num = (unsigned int)eighths;
  info->scale_denom = 8;
  info->dct_method = JDCT_ISLOW;
  /* Smooth interpolation of colours, as every viewer does it. */
  info->do_fancy_upsampling = TRUE;
  jpeg_start_decompress(info);
  *rows = info->output_height;
  JDIMENSION first = *x, count = *columns;
  if (first + count < info->output_width || first > 0) {
    jpeg_crop_scanline(info, &first, &count);
  } else {
    first = 0;
    count = info->output_width;
  }
  *x = first;
  *columns = count;
  return DONE;
}

/* Inverted CMYK, as all programs write it, to RGB: Pillow's arithmetic, so that the values are its own. */
static void inks_to_rgb(const uint8_t *inks, uint8_t *rgb, uint32_t pixels) {
  for (uint32_t i = 0; i < pixels; i++, inks += 4, rgb += 3) {
    int white = inks[3];
    for (int colour = 0; colour < 3; colour++) {
      int product = (255 - inks[colour]) * white + 128;
      rgb[colour] = (uint8_t)(white - (((product >> 8) + product) >> 8));
    }
  }
}

/* Decodes `rows` rows from `top` on, as many columns as were said, three bytes a pixel. */
int image_jpeg_rows(struct image_jpeg *jpeg, uint32_t top, uint32_t rows, uint8_t *out) {
  j_decompress_ptr info = &jpeg->info;
  if (setjmp(jpeg->escape)) return jpeg->failure;
  const size_t columns = info->output_width;
  JSAMPARRAY inks = NULL;
  if (info->out_color_space == JCS_CMYK) {
    inks = info->mem->alloc_sarray((j_common_ptr)info, JPOOL_IMAGE, (JDIMENSION)(columns * 4), 1);
  }
  if (top > 0) jpeg_skip_scanlines(info, top);
  for (uint32_t row = 0; row < rows;) {
    JSAMPROW pointers[16];
    uint32_t count = rows - row < 16 ? rows - row : 16;
    if (inks != NULL) {
      jpeg_read_scanlines(info, inks, 1);
      inks_to_rgb(inks[0], out + row * columns * 3, (uint32_t)columns);
      row += 1;
    } else {
      for (uint32_t i = 0; i < count; i++) pointers[i] = out + (row + i) * columns * 3;
      row += jpeg_read_scanlines(info, pointers, count);
    }
  }
  return DONE;
}

/* Gives back what the last file took. */
void image_jpeg_end(struct image_jpeg *jpeg) {
  if (setjmp(jpeg->escape)) return;
  jpeg_abort_decompress(&jpeg->info);
}
