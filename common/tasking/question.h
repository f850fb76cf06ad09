/* SPDX-License-Identifier: MIT */
/*
 * question - what gantry-executor asks gantry-connector, so that one list has all actions:
 * gantry.sys.connector.actions.<workspace>, {"action"?,"params"?} -> {"actions":[…]}.
 *
 * No answer: there is no connector.
 */
#ifndef GANTRY_TASKING_QUESTION_H
#define GANTRY_TASKING_QUESTION_H

#define CONNECTOR_QUESTION_SUBJECT "gantry.sys.connector.actions."
#define CONNECTOR_QUESTION_MS      2000

#endif
