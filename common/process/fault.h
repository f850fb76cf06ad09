/* SPDX-License-Identifier: MIT */
/*
 * fault - points at which a program can be made to die, as by kill -9; only in MODE=fault.
 *
 * FAULT_POINT=name or name:n in the environment: death at the n-th passing of FAULT("name"). In
 * every other mode FAULT() is nothing.
 *
 * Source: docs/states.md lists the points and what each leaves behind
 */
#ifndef GANTRY_PROCESS_FAULT_H
#define GANTRY_PROCESS_FAULT_H

#ifdef GANTRY_FAULT
#define FAULT(point) fault_pass(point)
#else
#define FAULT(point) ((void)0)
#endif

void fault_pass(const char *point);

/* A number that tests shorten by an environment variable, in MODE=fault only. */
#ifdef GANTRY_FAULT
#define FAULT_NUMBER(name, number) fault_number(name, number)
#else
#define FAULT_NUMBER(name, number) (number)
#endif

long long fault_number(const char *name, long long number);

#endif
