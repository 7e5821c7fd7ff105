/* Where the extrema of a disk lie, an image at a time and so within a processor's cache: what
   `partae.morphology.extrema.places_of_extrema` says, to the last place. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* compiled for vectors of several lengths, of which the processor at hand chooses the longest */
#if defined(__GNUC__) && defined(__x86_64__) && defined(__GLIBC__)
#define VECTORS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define VECTORS
#endif

/* as in extrema.py */
static const int64_t CENTRE = (int64_t)1 << 28;
static const int64_t NORMAL = (int64_t)1 << 52;
static const double LARGE = 0x1p1000;

static inline int64_t bits(double value)
{
    int64_t same;
    memcpy(&same, &value, sizeof same);
    return same;
}

static inline double number(int64_t value)
{
    double same;
    memcpy(&same, &value, sizeof same);
    return same;
}

static inline double larger(double one, double other) { return one > other ? one : other; }

static inline void largest_of(double *result, const double *a, const double *b, const double *c, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        result[i] = larger(a[i], larger(b[i], c[i]));
}

/* images (count, height, width) -> places (count, height, width) of the largest pixel within the radius, or of the
   smallest; whether there was memory for it. Around the image at hand are pixels that are never the largest, at the end
   of a row those before the next: so to move the image is to begin elsewhere. */
VECTORS int places_of_extrema(const float *images, int64_t count, int64_t height, int64_t width, int64_t radius,
                              int largest, int64_t *places)
{
    const int64_t row = width + radius, margin = radius * row, inside = height * row - radius;
    const int64_t size = margin + height * row + margin;
    const int64_t first = largest ? NORMAL : NORMAL + CENTRE;
    double *memory = malloc(3 * size * sizeof *memory);
    if (!memory)
        return 0;
    double *pixels = memory + margin, *along = pixels + size, *extrema = along + size;

    for (int64_t i = 0; i < 2 * size; i++)
        memory[i] = -INFINITY;
    for (; count > 0; count--, images += height * width, places += height * width) {
        for (int64_t y = 0; y < height; y++)
            for (int64_t x = 0; x < width; x++) {
                double pixel = largest ? images[y * width + x] : -images[y * width + x];
                pixel = pixel <= LARGE ? pixel : LARGE; /* what is no number, too */
                pixel = larger(pixel, -LARGE);
                pixels[y * row + x] = number(bits(pixel) + (first + y * width + x));
            }
        for (int64_t i = 0; i < inside; i++)
            extrema[i] = number(bits(pixels[i]) ^ CENTRE);

        const double *widest = pixels; /* the largest within `reach` pixels along the row */
        int64_t reach = 0;
        for (int64_t up = radius; up > 0; up--) {
            while ((reach + 1) * (reach + 1) + up * up <= radius * radius) {
                reach++;
                largest_of(along, widest, pixels - reach, pixels + reach, inside);
                widest = along;
            }
            largest_of(extrema, extrema, widest - up * row, widest + up * row, inside);
        }
        if (widest != pixels)
            largest_of(extrema, extrema, widest, widest, inside);
        while (++reach <= radius)
            largest_of(extrema, extrema, pixels - reach, pixels + reach, inside);

        for (int64_t y = 0; y < height; y++)
            for (int64_t x = 0; x < width; x++)
                places[y * width + x] = bits(extrema[y * row + x]) & (CENTRE - 1);
    }
    free(memory);
    return 1;
}
