/* SPDX-License-Identifier: MIT */
/*
 * embed_half - float to IEEE 754 half precision and back, in the binary form of halfvec: two
 * 16-bit numbers (dimension, unused), then the values, all big-endian.
 */
#include <string.h>

#include "embed.h"

/* Round to nearest, ties to even; what is too large becomes the largest finite value. */
static uint16_t
half_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000U);
    uint32_t magnitude = bits & 0x7FFFFFFFU;
    if (magnitude > 0x7F800000U)
        return 0; /* not a number: no embedding has one */
    if (magnitude >= 0x477FF000U)
        return (uint16_t)(sign | 0x7BFFU);
    if (magnitude < 0x33000001U)
        return sign; /* below half of the smallest subnormal */
    uint32_t exponent = magnitude >> 23;
    uint32_t mantissa = (magnitude & 0x7FFFFFU) | 0x800000U;
    uint32_t shift = exponent < 113 ? 126 - exponent : 13;
    uint32_t half = mantissa >> shift;
    uint32_t rest = mantissa & ((1U << shift) - 1), tie = 1U << (shift - 1);
    if (rest > tie || (rest == tie && (half & 1)))
        half++;
    if (exponent >= 113)
        half += (exponent - 113) << 10; /* the hidden bit adds the 1 */
    return (uint16_t)(sign | half);
}

static float
float_from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000U) << 16;
    uint32_t exponent = half >> 10 & 0x1FU, mantissa = half & 0x3FFU;
    uint32_t bits;
    if (exponent == 0) {
        float value = (float)mantissa / 16777216.0F; /* 2^-24 */
        return sign ? -value : value;
    }
    bits = exponent == 31 ? sign | 0x7F800000U | mantissa << 13
                          : sign | (exponent + 112) << 23 | mantissa << 13;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

bool
embed_to_half(const float *vector, size_t dim, uint8_t *bytes)
{
    bool some = false;
    bytes[0] = (uint8_t)(dim >> 8);
    bytes[1] = (uint8_t)dim;
    bytes[2] = bytes[3] = 0;
    for (size_t i = 0; i < dim; i++) {
        uint16_t half = half_from_float(vector[i]);
        some = some || (half & 0x7FFFU);
        bytes[4 + 2 * i] = (uint8_t)(half >> 8);
        bytes[5 + 2 * i] = (uint8_t)half;
    }
    return some;
}

size_t
embed_from_half(const uint8_t *bytes, size_t len, float *vector, size_t cap)
{
    if (len < 4)
        return 0;
    size_t dim = (size_t)bytes[0] << 8 | bytes[1];
    if (dim > cap || len != EMBED_HALF_BYTES(dim))
        return 0;
    for (size_t i = 0; i < dim; i++)
        vector[i] = float_from_half((uint16_t)(bytes[4 + 2 * i] << 8 | bytes[5 + 2 * i]));
    return dim;
}
