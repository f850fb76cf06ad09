/* SPDX-License-Identifier: MIT */
/*
 * version - of all programs together: they are built and released as one.
 */
#ifndef GANTRY_BASE_VERSION_H
#define GANTRY_BASE_VERSION_H

#define GANTRY_VERSION "1.0.0"

#endif
