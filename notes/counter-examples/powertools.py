"""aws-lambda-powertools 3.37.0 on DynamoDB as moto 5.2.5 emulates it: a holder that lost its key writes its answer.

pip install aws-lambda-powertools==3.37.0 'moto[dynamodb]==5.2.5'
"""
import os
import threading
import time

os.environ |= dict(AWS_DEFAULT_REGION="eu-west-1", AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x")
import boto3
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer, IdempotencyConfig, idempotent_function)
from moto import mock_aws

class Context:  # Lambda says how long it lets the function run
    def get_remaining_time_in_millis(self):
        return 200

with mock_aws():
    key = dict(AttributeName="id", KeyType="HASH")
    boto3.client("dynamodb").create_table(
        TableName="keys", KeySchema=[key], BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[dict(AttributeName="id", AttributeType="S")])
    config = IdempotencyConfig(lambda_context=Context())
    store = DynamoDBPersistenceLayer(table_name="keys")

    @idempotent_function(data_keyword_argument="order", persistence_store=store, config=config)
    def charge(order, pause=0, charge_id=None):
        time.sleep(pause)
        return charge_id

    stalled = threading.Thread(target=lambda: charge(order="1", pause=1, charge_id="ch_1"))
    stalled.start()
    time.sleep(0.5)  # the first one's time is over: the second takes the key over, and is answered
    print("second call:", charge(order="1", charge_id="ch_2"))
    stalled.join()
    print("its repeat: ", charge(order="1", charge_id="ch_3"))
