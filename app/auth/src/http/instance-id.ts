/** The name of this process among those that answer for the service, before, beside and after it. */

import { freshId } from "./request-id";

export const INSTANCE_ID_HEADER = "x-instance-id";

export const INSTANCE_ID = freshId();
