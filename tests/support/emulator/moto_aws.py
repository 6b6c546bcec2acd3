"""AWS on loopback: moto's server, with the behaviours of AWS that end-to-end tests need and moto lacks.

    python moto_aws.py -H 127.0.0.1 -p 5056

Written for moto 5.2.5. Each patch names the behaviour that it restores. Jobs of AWS Batch run as containers if a Docker
API answers at DOCKER_HOST; without one they fail. From the environment:

    MOTO_JOB_ENV       a JSON object, more environment for every container (endpoints, credentials)
    MOTO_STOP_SECONDS  the time from SIGTERM to SIGKILL, 30 in AWS
"""

import moto_batch
import moto_batch_api
import moto_ec2
import moto_events
import moto_s3
from moto.server import main

if __name__ == "__main__":
    moto_s3.patch()
    moto_ec2.patch()
    moto_events.patch()
    moto_batch_api.patch()
    moto_batch.patch()
    main()
