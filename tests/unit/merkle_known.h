/* SPDX-License-Identifier: MIT */
/*
 * merkle_known - tree heads and proofs of every size 0 to 300, digested; leaf i is the text "leaf i".
 *
 * Written by tests/gantry_testing/merkle.py; tests/integration/test_merkle.py computes it anew.
 * A proof is digested as one byte with its length, then its hashes; proofs are in order of size,
 * then of leaf index (0 …) or old size (1 …).
 */
#ifndef MERKLE_KNOWN_H
#define MERKLE_KNOWN_H

/* clang-format off */
#define KNOWN_ROOTS_0_TO_300 \
    "83e005aab220bccc1d32840c4b72f357dab811c3ae5c27bb298996518b28747b"
#define KNOWN_INCLUSION_0_TO_300 \
    "d618f2d925f989ea3c66ba734023293ee2fee69149b559b1612770e33572455e"
#define KNOWN_CONSISTENCY_0_TO_300 \
    "df74aeca0afe47f9b4a22b448b997445955741c7c742f3b98805ff48860cb9f0"
#define KNOWN_ROOT_1 \
    "1bb97dcc21635d47e2663efdfd0a174686d98dd701352dd2cd06e8b43fd3d305"
#define KNOWN_ROOT_2 \
    "fc5f6b88ff8554f75bb2f9e6f39c31b1936d44b69276edf7b1205a955b9761e3"
#define KNOWN_ROOT_3 \
    "d4f92c8fbb89720eb3b55677c7d7efaddfeb10d11a1a84a0ba8f1a23337faa95"
#define KNOWN_ROOT_7 \
    "5a61fc2b54f9cfa71774f2432143dd40c6cb2b11947faf65a7d3da5cb65199c8"
#define KNOWN_ROOT_8 \
    "c5c2c820ed342fdda8ce896b6b9cf5b8c00a21cc4b20714cc6e5d3c05c35240b"
#define KNOWN_ROOT_255 \
    "d71592a219d4067663eede247f9b54c3f9e0290682d55de09b495b07f1de41c9"
#define KNOWN_ROOT_256 \
    "cf5effdb11d0927a2edf53b0e73c7837f659414e00537da5d90eb5c4c49ff274"
#define KNOWN_ROOT_257 \
    "855b936aa00cb98b5114484249ad39d78a6be93623e26c01e8e487dc02184a5a"
#define KNOWN_ROOT_300 \
    "e7afc82d38944fc7930545328091d45823288c1f734cbdac06396713ebd4b5d5"
/* clang-format on */

#endif
