# SPDX-License-Identifier: LGPL-2.1-or-later
"""The drawn world that the embedded model is trained on: things that act in places, with captions."""
